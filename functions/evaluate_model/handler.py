"""Lambda handler for the event `Model Deployed` on the stack's event bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError
from aws_lambda_powertools.utilities.parser import envelopes, event_parser

from distillery.aws import clients
from distillery.runs.events import ModelDeployed
from distillery.settings import EvaluateSettings
from distillery.steps.evaluate_model import evaluate_model, ready_for_evaluation
from distillery.steps.run_steps import RunSteps

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
settings = EvaluateSettings.load()
steps = RunSteps.from_settings(settings)
idempotency = IdempotencyConfig()


@idempotent_function(  # type: ignore[untyped-decorator]  # Powertools gives it no signature
    data_keyword_argument="run_id",
    config=idempotency,
    persistence_store=DynamoDBPersistenceLayer(
        table_name=settings.idempotency_table, boto3_client=clients.client("dynamodb")
    ),
    key_prefix="evaluate",
)
def evaluate_once(*, run_id: str) -> None:
    """Evaluate the run; the idempotency record keeps a second invocation from repeating every billed call."""
    evaluate_model(run_id, settings, steps)


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@event_parser(model=ModelDeployed, envelope=envelopes.EventBridgeEnvelope)
def handler(event: ModelDeployed, context: LambdaContext) -> None:
    """Evaluate the deployed model and the other candidates."""
    logger.append_keys(run_id=event.run_id)
    idempotency.register_lambda_context(context)
    if ready_for_evaluation(event.run_id, steps):
        try:
            evaluate_once(run_id=event.run_id)
        except IdempotencyAlreadyInProgressError:
            logger.info("another invocation evaluates this run")
