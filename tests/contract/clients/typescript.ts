// Calls every operation of the merchants' API with the client that openapi-typescript and openapi-fetch make of the OpenAPI
// document. No value is cast: the types of the document alone tell what an answer is. The last line of the output has the
// requests that were sent, so that `run` finds an operation that is missing here.

import assert from "node:assert/strict";

import createClient, { type Middleware } from "openapi-fetch";

import type { components, paths } from "../generated/api.js";

type Customer = components["schemas"]["Customer"];
type Explanation = components["schemas"]["Explanation"];

const gateway = process.argv[2] ?? "";
assert(gateway !== "", "the URL of the gateway is the only argument");

const called: string[][] = [];
const recorder: Middleware = {
  onRequest({ request, schemaPath }) {
    called.push([request.method, schemaPath]);
  },
};

function connect(merchant: string) {
  const client = createClient<paths>({ baseUrl: gateway, headers: { Authorization: `Bearer sk_sandbox_${merchant}` } });
  client.use(recorder);
  return client;
}

/** The result of an answer. A problem ends the script with its code and what it says. */
function result<T, E>(answer: { data?: T; error?: E }): T {
  if (answer.data === undefined) {
    throw new Error(JSON.stringify(answer.error));
  }
  return answer.data;
}

/** The member `object` tells an explanation from a customer. */
function customer(found: Customer | Explanation): Customer {
  switch (found.object) {
    case "customer":
      return found;
    case "explanation":
      throw new Error(`it was only explained: ${found.requests.length} requests`);
  }
}

const api = connect("notchpay");

const body = { name: "Ousmane Sow", email: "ousmane.sow@example.com", phone: "+237670000001" };
const explained = result(await api.POST("/v1/customers", { params: { query: { explain: true } }, body }));
assert(explained.object === "explanation");
assert.equal(explained.operation, "create");
assert.equal(explained.requests[0]?.method, "POST");

const header = { "Idempotency-Key": "typescript-1" };
const created = customer(result(await api.POST("/v1/customers", { params: { header }, body })));
assert.equal(created.email, body.email);
const again = customer(result(await api.POST("/v1/customers", { params: { header }, body })));
assert.equal(again.id, created.id);

const path = { id: created.id };
const read = customer(result(await api.GET("/v1/customers/{id}", { params: { path, query: { include: "raw" } } })));
assert.equal(read.raw?.[0]?.status, 200);
const found = result(await api.GET("/v1/customers/lookup", { params: { query: { email: body.email } } }));
assert.equal(customer(found).id, created.id);
const changed = await api.PATCH("/v1/customers/{id}", { params: { path }, body: { name: "Ousmane Ba" } });
assert.equal(customer(result(changed)).name, "Ousmane Ba");
assert.equal(customer(result(await api.POST("/v1/customers/{id}/block", { params: { path } }))).blocked, true);
assert.equal(customer(result(await api.POST("/v1/customers/{id}/unblock", { params: { path } }))).blocked, false);

const names: (string | null)[] = [];
let cursor: string | null = null;
let known: string | undefined;
do {
  const query: { limit: number; cursor?: string } = cursor === null ? { limit: 2 } : { limit: 2, cursor };
  const page = result(await api.GET("/v1/customers", { params: { query } }));
  assert(page.object === "list");
  known ??= page.data[0]?.id;
  names.push(...page.data.map((one) => one.name));
  cursor = page.next_cursor;
} while (cursor !== null);
assert(names.includes("Ousmane Ba"));
assert(known);

const methods = result(await api.GET("/v1/customers/{id}/payment_methods", { params: { path: { id: known } } }));
assert(methods.object === "list");
assert(methods.data.every((method) => method.object === "payment_method"));
const payments = result(await api.GET("/v1/customers/{id}/payments", { params: { path: { id: known } } }));
assert(payments.object === "list");
assert(payments.data.every((payment) => payment.object === "payment"));

const writes = result(await api.GET("/v1/operations", { params: { query: { outcome: "done", limit: 100 } } }));
const create = writes.data.find((write) => write.operation === "create" && write.customer === created.id);
assert(create);
const write = result(await api.GET("/v1/operations/{id}", { params: { path: { id: create.id } } }));
assert.equal(write.outcome, "done");

const merchant = result(await api.GET("/v1/merchant"));
assert.equal(merchant.provider.name, "notchpay");
assert.equal(merchant.provider.operations.find((one) => one.operation === "overdue_invoices")?.support, "none");
const providers = result(await api.GET("/v1/providers"));
assert(providers.data.length >= 5);
const provider = result(await api.GET("/v1/providers/{name}", { params: { path: { name: "notchpay" } } }));
assert.equal(provider.object, "provider");
assert.match(result(await api.GET("/v1/version")).version, /^\d+\.\d+\.\d+/);

const deleted = result(await api.DELETE("/v1/customers/{id}", { params: { path } }));
assert(deleted.object === "customer");
assert.equal(deleted.deleted, true);
const gone = await api.GET("/v1/customers/{id}", { params: { path } });
assert.equal(gone.error?.code, "customer_not_found");
assert.equal(gone.error?.outcome, "none");

// Only one provider has overdue invoices.
const invoicing = connect("paymentkit");
const debtors = result(await invoicing.GET("/v1/customers", { params: { query: { limit: 100 } } }));
assert(debtors.object === "list");
const debtor = debtors.data[0];
assert(debtor);
const invoices = result(
  await invoicing.GET("/v1/customers/{id}/overdue_invoices", { params: { path: { id: debtor.id } } }),
);
assert(invoices.object === "list");
assert(invoices.data.every((invoice) => invoice.object === "invoice"));

assert.equal(result(await api.GET("/livez")).status, "ok");
assert.equal(result(await api.GET("/readyz")).status, "ok");

console.log(JSON.stringify(called));
