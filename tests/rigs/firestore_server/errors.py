"""What the server answers where it cannot do what is asked."""

import grpc


class StatusError(Exception):
    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, message)


def aborted(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.ABORTED, message)


def missing(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.NOT_FOUND, message)


def unmet(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.FAILED_PRECONDITION, message)


def exists(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.ALREADY_EXISTS, message)
