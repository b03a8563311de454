"""A stand-in of Bitnob as bitnob.dev describes it: signed requests, snake_case fields, `/api/customers`."""

import hashlib
import hmac
import uuid

from .stand_in import EMAIL, Refused, StandIn, page_of, seconds

TEXTS = ("first_name", "last_name", "email", "phone", "country_code")
# An update documents these fields, and not the dial code.
UPDATABLE = ("first_name", "last_name", "phone", "email")
NO_LONGER_VALID = 300


class Bitnob(StandIn):
    name = "bitnob"

    def __init__(self):
        super().__init__()
        self.nonces = set()

    def credentials(self, account):
        return {"client_id": f"client_{account}", "client_secret": f"secret_{account}"}

    def account_of(self, request):
        client, time, nonce, signature = (
            request.headers.get(f"X-Auth-{name}", "") for name in ("Client", "Timestamp", "Nonce", "Signature")
        )
        for account in self.accounts.values():
            if account.credentials["client_id"] == client:
                signed = f"{client}:{time}:{nonce}:".encode() + request.body
                secret = account.credentials["client_secret"].encode()
                is_right = hmac.compare_digest(hmac.new(secret, signed, hashlib.sha256).hexdigest(), signature)
                is_new = nonce and nonce not in self.nonces and abs(int(time) - seconds()) < NO_LONGER_VALID
                if is_right and is_new:
                    self.nonces.add(nonce)
                    return account
        raise Refused(*self.error(401, "UNAUTHORIZED", "Unauthorized", "Authentication failed"))

    def answer(self, request, account):
        match request.method, request.path:
            case "POST", ["api", "customers"]:
                return self.create(account, request.json)
            case "GET", ["api", "customers"]:
                return self.list(account, request.query)
            case "POST", ["api", "customers", "blacklist", id]:
                return self.blacklist(self.find(account, id), request.json)
            case "GET", ["api", "customers", id]:
                return self.one("successfully fetched customer", self.find(account, id, by_email=True))
            case "PUT", ["api", "customers", id]:
                return self.update(self.find(account, id), request.json)
            case "DELETE", ["api", "customers", id]:
                account.records.pop(self.find(account, id)["id"])
                # The documents show no answer.
                return 200, {"status": True, "message": "Customer deleted successfully"}
        return self.error(404, "NOT_FOUND", "Not Found", "resource not found")

    def create(self, account, body):
        self.check(body)
        if "email" not in body:
            raise Refused(*self.invalid("email is required"))
        # An address belongs to one customer of all businesses: the customer who has it is answered, unchanged.
        record = self.owner_of(body["email"])
        if record is None:
            given = {name: body[name] for name in (*TEXTS, "customer_type") if name in body}
            record = self.add(account, given)
        made = {"metadata": "{}", "is_active": True, "company_id": "company", "created_by": account.name}
        return 200, {
            "success": True,
            "message": "Customer created successfully",
            "data": {**shown(record), **made},
            "metadata": {"request_id": "customer_req"},
            "timestamp": self.now().isoformat().replace("+00:00", "Z"),
        }

    def update(self, record, body):
        self.check(body)
        # What the vendor answers to an address of another customer is not documented. Validation is always 400.
        owner = self.owner_of(body["email"]) if "email" in body else None
        if owner and owner is not record:
            return self.invalid("email already belongs to a customer")
        record.update({name: body[name] for name in UPDATABLE if name in body})
        self.touched(record)
        return self.one("Customer updated successfully", record)

    def blacklist(self, record, body):
        if not isinstance(body, dict) or not isinstance(body.get("blacklist"), bool):
            return self.invalid("blacklist must be a boolean")
        record["blacklist"] = body["blacklist"]
        self.touched(record)
        return self.one("Customer blacklisted successfully", record)

    def list(self, account, query):
        try:
            page, limit = int(query.get("page", 1)), int(query.get("limit", 20))
        except ValueError:
            page = limit = 0
        if page < 1 or limit < 1:
            return self.invalid("page and limit must be positive numbers")
        records = self.newest_first(account)
        if "blacklist" in query:
            records = [record for record in records if record["blacklist"] == (query["blacklist"] == "true")]
        if "phone_number" in query:
            records = [record for record in records if record["phone"] == query["phone_number"]]
        pages = -(-len(records) // limit)
        meta = {
            "page": page,
            "take": limit,
            "item_count": len(records),
            "page_count": pages,
            "has_previous_page": page > 1,
            "has_next_page": page < pages,
        }
        rows = [shown(record) for record in page_of(records, page, limit)]
        message = "successfully fetched all customers"
        return 200, {"status": True, "message": message, "data": {"customers": rows, "meta": meta}}

    def check(self, body):
        if not isinstance(body, dict):
            raise Refused(*self.invalid("the body must be an object"))
        for name in TEXTS:
            if name in body and not isinstance(body[name], str):
                raise Refused(*self.invalid(f"{name} must be a string"))
        if "email" in body and not EMAIL.fullmatch(body["email"]):
            raise Refused(*self.invalid("email must be a valid e-mail address"))
        if body.get("customer_type", "individual") not in ("individual", "business"):
            raise Refused(*self.invalid("customer_type must be individual or business"))

    def find(self, account, id, by_email=False):
        """Of the account's own records. Nothing documents whether another business's customer is shown."""
        if id in account.records:
            return account.records[id]
        if by_email:
            for record in account.records.values():
                if record["email"].lower() == id.lower():
                    return record
        raise Refused(*self.error(404, "NOT_FOUND", "Not Found", "customer not found"))

    def owner_of(self, email):
        for account in self.accounts.values():
            for record in account.records.values():
                if record["email"].lower() == email.lower():
                    return record
        return None

    def one(self, message, record):
        return 200, {"status": True, "message": message, "data": shown(record)}

    def invalid(self, detail):
        return self.error(400, "VALIDATION_ERROR", "Validation Error", detail)

    def error(self, status, kind, title, detail):
        address = f"https://api.bitnob.com/errors/{kind}"
        document = {"type": address, "title": title, "status": status, "detail": detail}
        return status, {**document, "correlation_id": "req_019fe742"}

    def malformed(self, detail):
        return self.invalid(detail)

    def stored(self, fields):
        time = self.time()
        empty = {"first_name": "", "last_name": "", "email": "", "phone": "", "country_code": ""}
        rest = {"blacklist": False, "customer_type": "individual", "created_at": time, "updated_at": time}
        return {"id": str(uuid.uuid4()), **empty, **rest, **fields}

    def touched(self, record):
        record["updated_at"] = self.time()

    def time(self):
        return self.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(record):
    return dict(record)
