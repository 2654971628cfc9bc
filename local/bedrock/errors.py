"""What the local Bedrock answers when it refuses."""

from __future__ import annotations


class AwsError(Exception):
    """A refusal as AWS words it: `code` goes into `x-amzn-ErrorType` and decides the HTTP status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def invalid(message: str) -> AwsError:
    """The request can never be served as it stands."""
    return AwsError("ValidationException", message)


def not_found(message: str) -> AwsError:
    """What the request names does not exist."""
    return AwsError("ResourceNotFoundException", message)


def conflict(message: str) -> AwsError:
    """The resource is not in a state that allows this."""
    return AwsError("ConflictException", message)


def over_quota(message: str) -> AwsError:
    """A quota of the account is used up."""
    return AwsError("ServiceQuotaExceededException", message)


def denied(message: str) -> AwsError:
    """The caller's policies do not allow this."""
    return AwsError("AccessDeniedException", message)


class JobFailed(Exception):
    """A customization or evaluation job cannot go on; the text becomes its failure message."""
