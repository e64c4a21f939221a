"""Calls every GET route with the client that openapi-python-client generated from the document."""

import importlib
import json
import re
import sys

document_path, base, token, metric, event, letter = sys.argv[1:]
with open(document_path) as file:
    document = json.load(file)
client = importlib.import_module("marketplace_analytics_client").AuthenticatedClient(base_url=base, token=token)

# The parameters of each operation.
calls = {
    "getMetric": [metric],
    "listMetrics": {"type_": [metric], "limit": 10},
    "explainMetric": [metric],
    "listEvents": {"limit": 2},
    "getEvent": [event],
    "getFreshness": [],
    "getMe": [],
    "listDeadLetters": {"limit": 2},
    "getDeadLetter": [letter],
    "listProofs": [],
    "listAdministrativeWrites": {"action": "metric.adjust"},
    "listAnomalies": {"state": "open"},
    "getSeries": [metric],
    "listSeries": {"type_": [metric], "interval": "week"},
    "rankProducts": {"by": "views", "limit": 2},
    "rankSellers": {"by": "orders"},
    "listSellers": {"prefix": "v"},
    "getSellerSummary": ["v"],
    "getOrderStats": ["v"],
    "getOverview": {"period": "7d"},
    "getEventStats": {"interval": "day"},
    "getArrivalStats": {"interval": "day"},
    "getOrder": ["o-1"],
    "listProducts": {"prefix": "p"},
    "listStatements": ["v"],
    "getStatement": ["v", "2026-10"],
    "listStatementKeys": [],
    "listMonths": {"limit": 2},
}

# A page, of which the generated client makes text.
pages = {"getStatementPage": "/api/sellers/v/statements/2026-10/page"}

# A stream, which the generated client would read to its end.
streams = {"getLive": "/api/live"}

reads = {
    operations["get"]["operationId"]: operations["get"]["tags"][0]
    for operations in document["paths"].values()
    if "get" in operations and operations["get"]["operationId"] not in streams | pages
}
assert reads.keys() == calls.keys(), f"not called: {reads.keys() ^ calls.keys()}"

for operation, tag in reads.items():
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    module = importlib.import_module(f"marketplace_analytics_client.api.{tag.replace(' ', '_')}.{name}")
    given = calls[operation]
    arguments, options = ([], given) if isinstance(given, dict) else (given, {})
    answer = module.sync_detailed(*arguments, client=client, **options)
    assert answer.status_code == 200, f"{operation}: {answer.status_code} {answer.content}"
    # The client has parsed the response into the types of the document.
    assert type(answer.parsed).__module__.startswith("marketplace_analytics_client.models."), f"{operation}: {answer.parsed!r}"
    print(operation, type(answer.parsed).__name__)

for operation, path in pages.items():
    answer = client.get_httpx_client().get(path)
    assert answer.status_code == 200 and answer.text.startswith("<!doctype html>"), answer
    print(operation, len(answer.text))

for operation, path in streams.items():
    with client.get_httpx_client().stream("GET", path) as answer:
        assert answer.headers["content-type"] == "text/event-stream", answer.headers
        data = next(line for line in answer.iter_lines() if line.startswith("data: "))
        print(operation, json.loads(data.removeprefix("data: "))["asOf"])
