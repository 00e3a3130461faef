// panva's oidc-provider as it comes, over TLS: node oidc_provider.mjs <its index.js> <a PEM file with key and certificate>
// It prints its name when it listens.  Its JWT access tokens are for the resource that is asked for (RFC 8707, RFC 9068);
// those of the client `hurried` end after a second.  Any name and password sign in, for so it is by default.
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const { default: Provider } = await import(process.argv[2])
const pem = readFileSync(process.argv[3])
const server = createServer({ cert: pem, key: pem }).listen(0, 'localhost', () => {
  const issuer = `https://localhost:${server.address().port}`
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
  const getResourceServerInfo = (_request, _resource, client) => ({
    scope: 'quote.read quote.write',
    accessTokenFormat: 'jwt',
    accessTokenTTL: client.clientId === 'hurried' ? 1 : 300,
  })
  const clients = ['shop', 'hurried'].map((name) => (
    { client_id: name, client_secret: name, redirect_uris: [`${issuer}/callback`] }
  ))
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    clients,
    features: { resourceIndicators: { getResourceServerInfo } },
    pkce: { required: () => false },
  })
  server.on('request', provider.callback())
  console.log(issuer)
})
