"""Handles one HTTP request to Bedrock: finds the operation, parses, authorizes, counts and answers it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from local.bedrock import iam
from local.bedrock.context import logger
from local.bedrock.deployments import Deployments
from local.bedrock.errors import AwsError
from local.bedrock.evaluations import Evaluations
from local.bedrock.jobs import Jobs
from local.bedrock.models import Models
from local.bedrock.runtime import Runtime
from local.bedrock.wire import Request, Response, Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from local.bedrock.context import Context
    from local.bedrock.iam import Caller

MODEL_CALLS = frozenset({"Converse", "InvokeModel"})
"""The runtime applies faults to these after checking permissions, because a fault can select a model."""


class Bedrock:
    """The Bedrock emulator: all operations on one context."""

    def __init__(self, context: Context, wire: Wire | None = None) -> None:
        self.context = context
        self.calls: Counter[str] = Counter()
        self._wire = wire or Wire()
        jobs, models, deployments = Jobs(context), Models(context), Deployments(context)
        evaluations = Evaluations(context)
        self.runtime = Runtime(context)
        self._handlers: Mapping[str, Callable[[Caller, dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "GetFoundationModel": models.get_foundation,
            "GetFoundationModelAvailability": models.availability,
            "ListFoundationModels": models.list_foundation,
            "CreateModelCustomizationJob": jobs.create,
            "GetModelCustomizationJob": jobs.get,
            "ListModelCustomizationJobs": jobs.list,
            "StopModelCustomizationJob": jobs.stop,
            "GetCustomModel": models.get_custom,
            "ListCustomModels": models.list_custom,
            "DeleteCustomModel": models.delete_custom,
            "CreateCustomModelDeployment": deployments.create,
            "GetCustomModelDeployment": deployments.get,
            "ListCustomModelDeployments": deployments.list,
            "UpdateCustomModelDeployment": deployments.update,
            "DeleteCustomModelDeployment": deployments.delete,
            "CreateEvaluationJob": evaluations.create,
            "GetEvaluationJob": evaluations.get,
            "ListEvaluationJobs": evaluations.list,
            "StopEvaluationJob": evaluations.stop,
            "BatchDeleteEvaluationJob": evaluations.batch_delete,
            "Converse": self.runtime.converse,
            "InvokeModel": self.runtime.invoke,
            "TagResource": models.tag,
            "UntagResource": models.untag,
            "ListTagsForResource": models.tags,
        }

    async def handle(self, scope: Mapping[str, Any], request: Request) -> Response:
        """Answer a request. Every exception becomes an error response."""
        try:
            operation, labels = self._wire.route(request)
            caller = iam.identify(scope, request.body)
            self.calls[operation.name] += 1
            handler = self._handlers.get(operation.name)
            if handler is None:
                raise AwsError(
                    "UnknownOperationException", f"The Bedrock emulator does not implement {operation.name}."
                )
            params = self._wire.read(operation, labels, request)
            fault = (
                None if operation.name in MODEL_CALLS else self.context.faults.for_call(operation.name, "")
            )
            if fault and fault.error:
                raise AwsError(fault.error, fault.message)
            return self._wire.response(operation, await handler(caller, params))
        except AwsError as error:
            return self._wire.error(error)
        except Exception:  # noqa: BLE001  # a bug becomes a 500 response
            logger.exception(
                "Internal error of the Bedrock emulator at %s %s", request.method, request.raw_path
            )
            return self._wire.error(AwsError("InternalServerException", "An internal error occurred."))
