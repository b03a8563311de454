// Starts the API reference. The page has the public key of a sandbox, if this gateway has one.
const token = document.querySelector('#app').dataset.key;

// The reference includes every parameter with a default, and a header, in the requests that it sends. Nothing is
// included until the reader asks for it.
const leaveOut = (operation) => {
  operation['x-scalar-disable-parameters'] = { 'default-headers': { default: { accept: true } } };
  for (const parameter of operation.parameters ?? []) {
    const value = parameter.schema?.default;
    if (value !== undefined) parameter.examples = { default: { value, 'x-disabled': true } };
  }
};

const load = async (input, options) => {
  const answer = await fetch(input, options);
  if (!answer.ok || new URL(answer.url).pathname !== '/openapi.json') return answer;
  const contract = await answer.json();
  for (const path of Object.values(contract.paths)) Object.values(path).forEach(leaveOut);
  return Response.json(contract);
};

Scalar.createApiReference('#app', {
  url: '/openapi.json',
  customFetch: load,
  authentication: token && { preferredSecurityScheme: 'key', securitySchemes: { key: { token } } },
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  showDeveloperTools: 'never',
});
