"""The sum of the estimates of the runs that start on one day (DynamoDB, claims table)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.aws.tables import condition_failed

if TYPE_CHECKING:
    from datetime import date

    from mypy_boto3_dynamodb import DynamoDBClient


class DayCosts:
    """One item for each day (UTC): the sum in USD, and the IDs of the runs in it. A run is counted once."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._table = table
        self._client: DynamoDBClient = client or clients.client("dynamodb")

    def add(self, day: date, run_id: str, cost: float, limit: float | None = None) -> float | None:
        """Count a run. With `limit`, only if the sum including this run stays within it.

        Returns None if the run is counted now or was before, otherwise the sum without it.
        """
        condition = "(attribute_not_exists(runs) OR NOT contains(runs, :run))"
        values: dict[str, Any] = {
            ":run": {"S": run_id},
            ":runs": {"SS": [run_id]},
            ":cost": {"N": f"{cost:.6f}"},
        }
        if limit is not None:
            first_fits = "attribute_not_exists(usd) OR " if cost <= limit else ""
            condition += f" AND ({first_fits}usd <= :room)"
            values[":room"] = {"N": f"{limit - cost:.6f}"}
        key = {"claim": {"S": f"day-cost/{day:%F}"}}
        with clients.explained("count the cost of the runs of the day"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=key,
                    UpdateExpression="ADD usd :cost, runs :runs",
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
            else:
                return None
            item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {})
        if run_id in item.get("runs", {}).get("SS", []):
            return None
        return float(item.get("usd", {}).get("N", "0"))
