"""PyPI bitnob. It uses generation v1 and cannot page: `list_customers` reads only the first page."""

import os

from check import BASE, KEY, Checks, has, lacks, same

os.environ["BITNOB_BASE_URL"] = BASE + "/api/v1/"
os.environ["BITNOB_API_KEY"] = KEY
os.environ["BITNOB_PRODUCTION"] = "false"

from bitnob import Customer  # noqa: E402
from bitnob.exceptions import (  # noqa: E402
    BitnobBadRequestError,
    BitnobQueryError,
    BitnobServerError,
    BitnobUnauthorizedError,
)

customers = Customer()
check = Checks(
    (BitnobBadRequestError, BitnobQueryError, BitnobServerError, BitnobUnauthorizedError),
    lambda error: (error.code, str(error.message)),
)
UNKNOWN = "1e258349-2043-4ca1-b39c-8418f9e0d36d"
count = 3

with check.operation("list", lacks("list")):
    page = customers.list_customers()
    same([customer.firstName for customer in page], ["John", "Caleb", "Amadou"])
    customer = page[1]
    has(customer, firstName="Caleb", lastName="Okpara", email="caleb@modempay.com", phone="7000001", countryCode="+220")

with check.operation("create", lacks("create")):
    sent = {
        "email": "bob@bitnob.com",
        "firstName": "Bob",
        "lastName": "Wonder",
        "phone": "9012345678",
        "countryCode": "+234",
    }
    customer = customers.create_customer(sent)
    count += 1
    has(customer, **sent)
    # E-mail addresses are unique.
    same(vars(customers.create_customer(sent)), vars(customer))

with check.operation("get", lacks("retrieve")):
    same(vars(customers.get_customer(customer.id)), vars(customer))

with check.operation("get by email", lacks("find")):
    same(vars(customers.get_customer_by_email(customer.email)), vars(customer))
    check.refused(404, "customer not found", lambda: customers.get_customer_by_email("nobody@example.com"))

with check.operation("update", lacks("update")):
    # A provider with a single name field takes only its last word as the last name.
    change = {"firstName": "Bobby Bob", "phone": "9012345679", "countryCode": "+234"}
    changed = {**vars(customer), **change}
    same(vars(customers.update_customer(change, customer.id)), changed)
    same(vars(customers.get_customer(customer.id)), changed)

with check.operation("list the first page", lacks("list")):
    for number in range(0 if lacks("create") else 9):
        phone, email = f"902123450{number}", f"bob.{number}@example.com"
        names = {"firstName": "Bob", "lastName": "Wonder"}
        customers.create_customer({**names, "email": email, "phone": phone, "countryCode": "+234"})
        count += 1
    page = customers.list_customers()
    same((len(page), len({listed.id for listed in page})), (min(count, 10), min(count, 10)))

with check.operation("unknown id"):
    check.refused(404, "customer not found", lambda: customers.get_customer(UNKNOWN))
    check.refused(404, "customer not found", lambda: customers.get_customer("cus.nobody"))
    check.refused(404, "customer not found", lambda: customers.update_customer({"firstName": "Nobody"}, UNKNOWN))

with check.operation("wrong key"):
    os.environ["BITNOB_API_KEY"] = "sk.wrong"
    check.refused(401, "Authentication failed", lambda: Customer().list_customers())

with check.operation("invalid body"):
    invalid = {"email": "nobody"}
    check.refused(400, "must be an email", lambda: customers.update_customer(invalid, customer.id))
