"""What a client in Python does with the ids in its database, before and after its merchant switches to another provider.

SDK_CLIENT names the client, and SDK_KEPT the customers: their ids and e-mail addresses.
"""

import json
import os

from check import BASE, KEY, Checks, same

CLIENT = os.environ["SDK_CLIENT"]
KEPT = json.loads(os.environ["SDK_KEPT"])


def modempay():
    from modempay import ModemPay
    from modempay.resources.base import BaseResource

    BaseResource._apiURL = BASE
    customers = ModemPay(api_key=KEY, config={"maxRetries": 0}).customers
    read = lambda found: (found["id"], found["email"])
    return lambda id: read(customers.retrieve(id)), lambda id, email: read(customers.update(id, {"email": email}))


def lomi_sdk():
    from lomi import LomiClient

    customers = LomiClient(api_key=KEY, base_url=BASE + "/v1").customers

    def retrieve(id):
        found = customers.get(id)["data"]
        return found["customer_id"], found["email"]

    return retrieve, None


def lomi():
    import lomi

    configuration = lomi.Configuration(host=BASE + "/v1")
    configuration.api_key["ApiKeyAuth"] = KEY
    customers = lomi.CustomersApi(lomi.ApiClient(configuration))

    def read(response):
        found = json.loads(response.raw_data)["data"]
        return found["customer_id"], found["email"]

    return (
        lambda id: read(customers.retrieve_customer_with_http_info(id)),
        lambda id, email: read(customers.update_customer_with_http_info(id, lomi.CustomersUpdate(email=email))),
    )


def bitnob():
    os.environ["BITNOB_BASE_URL"] = BASE + "/api/v1/"
    os.environ["BITNOB_API_KEY"] = KEY
    os.environ["BITNOB_PRODUCTION"] = "false"
    from bitnob import Customer

    customers = Customer()
    read = lambda found: (found.id, found.email)
    # Its update requires the names.
    return lambda id: read(customers.get_customer(id)), None


def notchpay():
    import httpx
    from notchpay import NotchPay

    client = NotchPay(KEY)
    client._client.base_url = httpx.URL(BASE)
    read = lambda answer: (answer.customer.id, answer.customer.email)
    customers = client.customers
    return lambda id: read(customers.retrieve(id)), lambda id, email: read(customers.update(id, {"email": email}))


retrieve, update = {
    "modempay_python": modempay,
    "lomi_sdk_python": lomi_sdk,
    "lomi_python": lomi,
    "bitnob_python": bitnob,
    "notchpay_python": notchpay,
}[CLIENT]()
check = Checks((), None)
with check.operation("the ids that were kept"):
    for kept in KEPT:
        same(retrieve(kept["id"]), (kept["id"], kept["email"]))
        if update is not None:
            same(update(kept["id"], kept["email"]), (kept["id"], kept["email"]))
