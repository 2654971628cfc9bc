"""The command for queries: route."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import print_json, print_table, print_text, terminal
from cli.exit_codes import SUCCESS
from cli.files import check_output_file, write_bytes
from cli.options import AsJson, on_stack
from cli.polling import TimedOut
from cli.query_output import answering_models, as_csv, as_jsonl, in_order, query_progress, results_table
from cli.query_queue import QueryToSend, check_query, decoded, read_queries, route_queries
from cli.stack import Stack
from distillery.aws.stack_config import stack_channel_config
from distillery.errors import BadInput
from distillery.messages import counted

EXAMPLE = "penalty hitting the post in slow motion"


@on_stack
def route(
    stack: Stack,
    queries: Annotated[
        list[str] | None, typer.Argument(metavar="QUERY", help="Queries to score.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='A file with more queries, one a line: JSON objects with the key "query", or plain text. '
            "`-` is standard input.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the results to a file: CSV if its name ends in .csv, else JSONL."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file of --out.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of queries to send.")] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="Time to wait for the results.")
    ] = 60.0,
    as_json: AsJson = False,
) -> int:
    """Send queries to the stack and print their channel weights.

    Sends the queries to the query queue and waits for the results. For example:
    `distillery route "penalty hitting the post in slow motion"`.

    Exit codes: 0 every query has a result, 6 the timeout expired before that.
    """
    named = [QueryToSend(check_query(decoded(text), "the query")) for text in queries or []]
    to_send = [*named, *(read_queries(file) if file else [])][:limit]
    if not to_send:
        raise BadInput("No query was given.", fix=f'For example: distillery route "{EXAMPLE}"')
    if out is not None:
        check_output_file(out, force=force)
    with query_progress(len(to_send), quiet=as_json) as progress:
        routed = route_queries(stack, to_send, timeout=timeout, progress=progress)
    names = stack_channel_config(stack.bucket).names
    results = in_order(routed.results, names)
    if out is not None:
        write_bytes(out, as_csv(results, names) if out.suffix.lower() == ".csv" else as_jsonl(results))
    if as_json:
        written = {"results": results} if out is None else {"file": str(out), "written": len(results)}
        print_json(written | {"unanswered": routed.unanswered})
    elif out is not None:
        print_text(f"{counted(len(results), 'result')} written to {out}.")
    elif results:
        print_table(terminal(), results_table(results, names))
        print_text(answering_models(results))
    if routed.unanswered:
        raise TimedOut(
            f"{len(routed.unanswered)} of {len(to_send)} queries have no result after {timeout:g} seconds.",
            fix="The dead-letter queue has the queries that cannot be answered, each with the reason.",
        )
    return SUCCESS
