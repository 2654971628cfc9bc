"""One request of Bedrock from HTTP to HTTP: route, read, authorise, answer, count."""

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

SLOW_CALLS = frozenset({"Converse", "InvokeModel"})
"""Their faults strike after permissions are checked, by the model that is called."""


class Bedrock:
    """The local Bedrock over one context."""

    def __init__(self, context: Context, wire: Wire | None = None) -> None:
        self.context = context
        self.calls: Counter[str] = Counter()
        self._wire = wire or Wire()
        jobs, models, deployments = Jobs(context), Models(context), Deployments(context)
        evaluations = Evaluations(context)
        self.runtime = Runtime(context)
        self._handlers: Mapping[str, Callable[[Caller, dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "GetFoundationModel": models.get_foundation,
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
        """Answer a request; nothing escapes but what the process itself cannot survive."""
        try:
            operation, labels = self._wire.route(request)
            caller = iam.identify(scope, request.body)
            self.calls[operation.name] += 1
            handler = self._handlers.get(operation.name)
            if handler is None:
                raise AwsError(
                    "UnknownOperationException", f"The local Bedrock does not implement {operation.name}."
                )
            params = self._wire.read(operation, labels, request)
            fault = None if operation.name in SLOW_CALLS else self.context.faults.struck(operation.name, "")
            if fault and fault.error:
                raise AwsError(fault.error, fault.message)
            return self._wire.answer(operation, await handler(caller, params))
        except AwsError as error:
            return self._wire.refusal(error)
        except Exception:  # noqa: BLE001  # a bug here must look like a failing service, not end it
            logger.exception("the local Bedrock broke at %s %s", request.method, request.raw_path)
            return self._wire.refusal(AwsError("InternalServerException", "An internal error occurred."))
