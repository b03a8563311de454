"""PyPI notchpay."""

import httpx
from check import BASE, KEY, Checks, has, stores, lacks, same, expected_total
from notchpay import NotchPay
from notchpay.exceptions import NotchPayAPIError, NotchPayAuthenticationError, NotchPayValidationError


def client(key):
    notchpay = NotchPay(key)
    notchpay._client.base_url = httpx.URL(BASE)
    return notchpay


def decode_error(error):
    # The class follows the status of the answer. The code is in the body. Only this class has field errors.
    same(type(error), NotchPayAuthenticationError if error.code == 401 else NotchPayValidationError)
    return error.code, f"{error.message} {getattr(error, 'errors', {})}"


def pages(**options):
    """Reads the pages of a list until the answer says that a page is the last one."""
    number, last = 1, 1
    while number <= last:
        page = customers.list(limit=2, page=number, **options)
        yield page
        number, last = number + 1, page.last_page


customers = client(KEY).customers
check = Checks(NotchPayAPIError, decode_error)
UNKNOWN = "cus.test_123456789"
count = 3

with check.operation("list", lacks("list")):
    page = customers.list()
    same([customer.name for customer in page.items], ["John Doe", "Caleb Okpara", "Amadou Ba"])
    has(page, code=200, status="OK", totals=3, last_page=1, current_page=1, selected=3)
    # John Doe has payments and payment methods if the provider stores such records.
    customer = john = page.items[0]
    has(john, email="john@example.com", phone="+237680000000")

with check.operation("create", lacks("create")):
    sent = {"name": "Jane Doe", "email": "jane@example.com", "phone": "+237600000000"}
    created = customers.create(sent)
    has(created, code=201, status="Created")
    customer = created.customer
    count += 1
    has(customer, **sent)

with check.operation("retrieve", lacks("retrieve")):
    found = customers.retrieve(customer.id)
    same(found.code, 200)
    has(found.customer, id=customer.id, name=customer.name, email=customer.email, phone=customer.phone)

with check.operation("update", lacks("update")):
    changed = {"id": customer.id, "name": "John Smith", "email": customer.email, "phone": "+237600000001"}
    has(customers.update(customer.id, {"name": "John Smith", "phone": "+237600000001"}).customer, **changed)
    has(customers.retrieve(customer.id).customer, **changed)

with check.operation("update a field that may not be stored", lacks("update")):
    metadata = {"user_id": "12345", "company": "Acme Inc."}

    def describe():
        return customers.update(customer.id, {"metadata": metadata})

    if stores("metadata"):
        has(describe().customer, metadata=metadata)
    else:
        check.refused(422, "metadata", describe)

with check.operation("list to the end", lacks("list")):
    for number in range(0 if lacks("create") else 6):
        customers.create({"name": "Jane Doe", "email": f"jane.{number}@example.com"})
        count += 1
    seen = set()
    for number, page in enumerate(pages(), 1):
        same(len(page.items), min(2, count - len(seen)))
        seen.update(listed.id for listed in page.items)
        total = expected_total(count, len(seen), len(page.items) == 2)
        has(page, totals=total, current_page=number, selected=len(page.items))
    same(len(seen), count)

with check.operation("search", lacks("list")):
    page = customers.list(search="amadou.ba@")
    same(len(page.items), 1)
    has(page.items[0], name="Amadou Ba", email="amadou.ba@example.com", phone="+221771234567")
    same(page.totals, 1)
    found = [listed for page in pages(search="JANE.") for listed in page.items]
    same(len({listed.id for listed in found}), len(found))
    same([listed.name for listed in found], ["Jane Doe"] * (0 if lacks("create") else 6))

with check.operation("payments", lacks("payments")):
    page = customers.payments(john.id, limit=2)
    has(page, totals=3, last_page=2, current_page=1, selected=2)
    same(len(customers.payments(john.id, limit=2, page=2).payments), 1)
    has(page.payments[0], reference="order_31", amount=5000.0, currency="XAF", status="complete", customer=john.id)

with check.operation("payment methods", lacks("payment_methods")):
    method = customers.payment_methods(john.id).items[0]
    has(method, type="mobilepay")

with check.operation("delete", lacks("delete")):
    has(customers.delete(customer.id), code=200, status="OK", message="Customer deleted")
    check.refused(404, "Customer not found", lambda: customers.retrieve(customer.id))

with check.operation("unknown id"):
    check.refused(404, "Customer not found", lambda: customers.retrieve(UNKNOWN))
    check.refused(404, "Customer not found", lambda: customers.retrieve("1e258349-2043-4ca1-b39c-8418f9e0d36d"))
    check.refused(404, "Customer not found", lambda: customers.update(UNKNOWN, {"name": "Nobody"}))

with check.operation("wrong key"):
    check.refused(401, "Invalid API key", lambda: client("pk_test.wrong").customers.list())

with check.operation("invalid body"):
    check.refused(422, "Invalid email address", lambda: customers.update(john.id, {"email": "nobody"}))
