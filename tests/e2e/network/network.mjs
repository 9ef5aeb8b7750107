// A real PLC directory and a real PDS on loopback, for the tests that compare the sandbox with them.
//
// Prints one JSON line when ready: {"pds": url, "plc": url, "admin_password": text, "version": text}.
// Then every line on stdin is a command on a DID document, signed with the PDS's rotation key, and answered with one
// JSON line: {"tombstone": did} or {"set_endpoint": did, "endpoint": text} -> {"ok": true} or {"error": text}. The command
// {"open_sessions": did} is answered with {"open_sessions": how many sessions of the account can still be refreshed}.
// Ends on SIGTERM, on SIGINT, and when stdin closes, so that it never outlives the test run that started it.
//
// REAL_PDS_PORT and REAL_PLC_PORT choose the ports (default: free ones);
// PDS_RATE_LIMITS_ENABLED=true turns the limits on, which dev-env leaves off, and
// PDS_ENABLE_DID_DOC_WITH_SESSION=true puts the DID document into sessions, as the hosted service does.

import { createRequire } from 'node:module'
import { Server } from 'node:net'
import { createInterface } from 'node:readline'

const listen = Server.prototype.listen
Server.prototype.listen = function (port, ...rest) {
  // Both servers ask for a bare port, which would open them to the whole network.
  return typeof port === 'number' ? listen.call(this, port, '127.0.0.1', ...rest) : listen.call(this, port, ...rest)
}

const { ADMIN_PASSWORD, TestNetworkNoAppView } = await import('@atproto/dev-env')
// An explicit undefined would override dev-env's choice of a free port.
const port = (name) => (process.env[name] ? { port: Number(process.env[name]) } : {})
const network = await TestNetworkNoAppView.create({
  plc: port('REAL_PLC_PORT'),
  pds: {
    ...port('REAL_PDS_PORT'),
    rateLimitsEnabled: process.env.PDS_RATE_LIMITS_ENABLED === 'true',
    enableDidDocWithSession: process.env.PDS_ENABLE_DID_DOC_WITH_SESSION === 'true',
  },
})

let stopping = false
async function stop() {
  if (stopping) return
  stopping = true
  await network.close()
  process.exit(0)
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)

async function perform(command) {
  const { plcClient, plcRotationKey } = network.pds.ctx
  if (command.tombstone) {
    await plcClient.tombstone(command.tombstone, plcRotationKey)
    return { ok: true }
  }
  if (command.set_endpoint) {
    // Not updatePds, which would put https:// before what is no web address; the directory takes anything.
    await plcClient.updateData(command.set_endpoint, plcRotationKey, (last) => ({
      ...last,
      services: { ...last.services, atproto_pds: { ...last.services.atproto_pds, endpoint: command.endpoint } },
    }))
    return { ok: true }
  }
  if (command.open_sessions) {
    const { db } = network.pds.ctx.accountManager.db
    const tokens = db.selectFrom('refresh_token').where('did', '=', command.open_sessions).where('nextId', 'is', null)
    return { open_sessions: (await tokens.selectAll().execute()).length }
  }
  throw new Error('unknown command')
}

const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const commands = createInterface({ input: process.stdin })
commands.on('close', stop)
commands.on('line', (line) =>
  perform(JSON.parse(line)).then(answer, (error) => answer({ error: String(error.message) })),
)

answer({
  pds: network.pds.url,
  plc: network.plc.url,
  admin_password: ADMIN_PASSWORD,
  version: createRequire(import.meta.url)('@atproto/pds/package.json').version,
})
