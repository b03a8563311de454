"""Calls every operation of the merchants' API with the client that openapi-python-client makes of the OpenAPI document.

No value is cast: the types of the document alone tell what an answer is. The last line of the output has the requests that
were sent, so that `run` finds an operation that is missing here.
"""

import json
import sys

import httpx
from passerelle_client import AuthenticatedClient
from passerelle_client.api.capabilities import list_providers, retrieve_merchant, retrieve_provider, retrieve_version
from passerelle_client.api.customers import (
    block_customer,
    create_customer,
    delete_customer,
    list_customers,
    lookup_customer,
    retrieve_customer,
    unblock_customer,
    update_customer,
)
from passerelle_client.api.health import live, ready
from passerelle_client.api.of_a_customer import list_overdue_invoices, list_payment_methods, list_payments
from passerelle_client.api.operations import list_operations, retrieve_operation
from passerelle_client.models import (
    AllProviders,
    Customer,
    CustomerFields,
    CustomerList,
    Deleted,
    Explanation,
    Health,
    HealthStatus,
    Include,
    InvoiceList,
    MerchantView,
    OneProvider,
    Operation,
    OperationList,
    OperationName,
    OperationOutcome,
    PaymentList,
    PaymentMethodList,
    Problem,
    ProblemCode,
    ProblemOutcome,
    Support,
    VersionView,
)

called: list[tuple[str, str]] = []


def record(request: httpx.Request) -> None:
    called.append((request.method, request.url.path))


def connect(merchant: str) -> AuthenticatedClient:
    hooks = {"event_hooks": {"request": [record]}, "trust_env": False}
    return AuthenticatedClient(base_url=sys.argv[1], token=f"sk_sandbox_{merchant}", httpx_args=hooks)


api = connect("notchpay")
fields = CustomerFields(name="Ousmane Sow", email="ousmane.sow@example.com", phone="+237670000001")

explained = create_customer.sync(client=api, body=fields, explain=True)
assert isinstance(explained, Explanation), explained
assert explained.operation is OperationName.CREATE
assert explained.requests[0].method == "POST"

created = create_customer.sync(client=api, body=fields, idempotency_key="python-1")
assert isinstance(created, Customer), created
assert created.email == "ousmane.sow@example.com"
again = create_customer.sync(client=api, body=fields, idempotency_key="python-1")
assert isinstance(again, Customer) and again.id == created.id, again

read = retrieve_customer.sync(created.id, client=api, include=Include.RAW)
assert isinstance(read, Customer) and read.raw, read
found = lookup_customer.sync(client=api, email="ousmane.sow@example.com")
assert isinstance(found, Customer) and found.id == created.id, found
changed = update_customer.sync(created.id, client=api, body=CustomerFields(name="Ousmane Ba"))
assert isinstance(changed, Customer) and changed.name == "Ousmane Ba", changed
blocked = block_customer.sync(created.id, client=api)
assert isinstance(blocked, Customer) and blocked.blocked is True, blocked
unblocked = unblock_customer.sync(created.id, client=api)
assert isinstance(unblocked, Customer) and unblocked.blocked is False, unblocked

customers: list[Customer] = []
page = list_customers.sync(client=api, limit=2)
while True:
    assert isinstance(page, CustomerList), page
    customers += page.data
    if page.next_cursor is None:
        break
    page = list_customers.sync(client=api, limit=2, cursor=page.next_cursor)
assert "Ousmane Ba" in [customer.name for customer in customers]
known = customers[0]

methods = list_payment_methods.sync(known.id, client=api)
assert isinstance(methods, PaymentMethodList), methods
payments = list_payments.sync(known.id, client=api)
assert isinstance(payments, PaymentList), payments

writes = list_operations.sync(client=api, outcome=OperationOutcome.DONE, limit=100)
assert isinstance(writes, OperationList), writes
create = next(write for write in writes.data if write.operation == "create" and write.customer == created.id)
write = retrieve_operation.sync(create.id, client=api)
assert isinstance(write, Operation) and write.outcome is OperationOutcome.DONE, write

merchant = retrieve_merchant.sync(client=api)
assert isinstance(merchant, MerchantView) and merchant.provider.name == "notchpay", merchant
lacking = next(one for one in merchant.provider.operations if one.operation is OperationName.OVERDUE_INVOICES)
assert lacking.support is Support.NONE
providers = list_providers.sync(client=api)
assert isinstance(providers, AllProviders) and len(providers.data) >= 5, providers
provider = retrieve_provider.sync("notchpay", client=api)
assert isinstance(provider, OneProvider) and provider.name == "notchpay", provider
version = retrieve_version.sync(client=api)
assert isinstance(version, VersionView) and version.version.count(".") == 2, version

deleted = delete_customer.sync(created.id, client=api)
assert isinstance(deleted, Deleted) and deleted.deleted, deleted
gone = retrieve_customer.sync(created.id, client=api)
assert isinstance(gone, Problem), gone
assert gone.code is ProblemCode.CUSTOMER_NOT_FOUND and gone.outcome is ProblemOutcome.NONE

# Only one provider has overdue invoices.
invoicing = connect("paymentkit")
debtors = list_customers.sync(client=invoicing, limit=100)
assert isinstance(debtors, CustomerList), debtors
invoices = list_overdue_invoices.sync(debtors.data[0].id, client=invoicing)
assert isinstance(invoices, InvoiceList), invoices

for health in (live.sync(client=api), ready.sync(client=api)):
    assert isinstance(health, Health) and health.status is HealthStatus.OK, health

print(json.dumps(called))
