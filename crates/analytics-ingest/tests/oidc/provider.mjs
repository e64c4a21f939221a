// An OpenID provider with one client, which may use the grant client_credentials. Its tokens are JWTs. Prints each token
// that it issues, one a line.
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import Provider from 'oidc-provider';

const { OIDC_HTTP_PORT, OIDC_HTTPS_PORT, OIDC_KEY, OIDC_CERTIFICATE, OIDC_CLIENT, OIDC_SECRET } = process.env;
const { OIDC_SCOPE, OIDC_AUDIENCE, OIDC_SECONDS } = process.env;
const key = readFileSync(OIDC_KEY);

const provider = new Provider(`http://localhost:${OIDC_HTTP_PORT}`, {
  clients: [
    {
      client_id: OIDC_CLIENT,
      client_secret: OIDC_SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://kafka.example.com',
      getResourceServerInfo: () => ({
        scope: OIDC_SCOPE,
        audience: OIDC_AUDIENCE,
        accessTokenFormat: 'jwt',
        accessTokenTTL: Number(OIDC_SECONDS),
      }),
    },
  },
  jwks: { keys: [{ ...createPrivateKey(key).export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
  scopes: [OIDC_SCOPE],
});

provider.on('grant.success', ({ body }) => console.log(body.access_token));
http.createServer(provider.callback()).listen(OIDC_HTTP_PORT, '127.0.0.1');
https.createServer({ key, cert: readFileSync(OIDC_CERTIFICATE) }, provider.callback()).listen(OIDC_HTTPS_PORT, '127.0.0.1');
