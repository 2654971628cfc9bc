"""The errors that the Bedrock emulator returns."""

from __future__ import annotations


class AwsError(Exception):
    """An error response of AWS. `code` goes into `x-amzn-ErrorType` and determines the HTTP status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def invalid(message: str) -> AwsError:
    """ValidationException: the request is not valid."""
    return AwsError("ValidationException", message)


def not_found(message: str) -> AwsError:
    """ResourceNotFoundException: a resource named in the request does not exist."""
    return AwsError("ResourceNotFoundException", message)


def conflict(message: str) -> AwsError:
    """ConflictException: the state of the resource does not allow the operation."""
    return AwsError("ConflictException", message)


def over_quota(message: str) -> AwsError:
    """ServiceQuotaExceededException: the account has reached a quota."""
    return AwsError("ServiceQuotaExceededException", message)


def denied(message: str) -> AwsError:
    """AccessDeniedException: the caller's policies do not allow the operation."""
    return AwsError("AccessDeniedException", message)


class JobFailed(Exception):
    """A customization or evaluation job fails. The text becomes its failure message."""
