"""PyPI lomi-sdk. It can only list and retrieve customers."""

from check import BASE, KEY, Checks, ask_gateway, has, lacks, same
from lomi import LomiAuthError, LomiClient, LomiError, LomiNotFoundError


def client(key):
    return LomiClient(api_key=key, base_url=BASE + "/v1")


def decode_error(error):
    same(type(error), {401: LomiAuthError, 404: LomiNotFoundError}.get(error.status_code, LomiError))
    return error.status_code, str(error.body)


customers = client(KEY).customers
check = Checks(LomiError, decode_error)
count = 3

with check.operation("list", lacks("list")):
    page = customers.list()
    same([customer["name"] for customer in page["data"]], ["John Doe", "Caleb Okpara", "Amadou Ba"])
    same(page["meta"], {"current_page": 1, "per_page": 20})
    customer = page["data"][2]
    has(customer, name="Amadou Ba", email="amadou.ba@example.com", phone_number="+221771234567")

with check.operation("get", lacks("retrieve")):
    expected = {name: customer[name] for name in ("customer_id", "name", "email", "phone_number", "created_at")}
    has(customers.get(customer["customer_id"])["data"], **expected)

with check.operation("list to the end", lacks("list")):
    # The client has no create, so the gateway's own API creates the customer.
    for number in range(0 if lacks("create") else 7):
        ask_gateway("/v1/customers", {"name": "Amadou Ba", "email": f"amadou.{number}@example.com"})
        count += 1
    seen, number, size = [], 1, 2
    while True:
        page = customers.list(page=number, limit=size)
        same(page["meta"], {"current_page": number, "per_page": size})
        seen += [listed["customer_id"] for listed in page["data"]]
        # lomi gives no total: a page that is not full is the last one.
        if len(page["data"]) < size:
            break
        number += 1
    same((len(seen), len(set(seen))), (count, count))

with check.operation("list by email", lacks("list")):
    found = customers.list(email="amadou.ba@example.com")["data"]
    same([listed["customer_id"] for listed in found], [customer["customer_id"]])

with check.operation("list by phone number", lacks("list")):
    found = customers.list(phone_number="+221771234567")["data"]
    same([listed["customer_id"] for listed in found], [customer["customer_id"]])

with check.operation("unknown id"):
    check.refused(404, "Customer not found", lambda: customers.get("b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"))

with check.operation("wrong key"):
    check.refused(401, "Invalid API key", lambda: client("lomi_sk_wrong").customers.list())

with check.operation("invalid page"):
    # lomi does not check the value before its database does.
    check.refused(500, "Failed to retrieve customer", lambda: customers.list(page="first"))
