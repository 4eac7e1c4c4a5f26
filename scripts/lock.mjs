// One preparation at a time in one checkout: `npm start` and `npm test` side by side must not both install.
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { root } from './run.mjs'

const lockFile = path.join(root, '.firn-lock')

function holder() {
  try {
    return Number(readFileSync(lockFile, 'utf8'))
  } catch {
    return undefined
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** The name appears with its content at once (link), so that nobody reads a lock without a holder. */
function take() {
  const own = `${lockFile}.${process.pid}`
  writeFileSync(own, `${process.pid}`)
  try {
    linkSync(own, lockFile)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    return false
  } finally {
    rmSync(own, { force: true })
  }
}

/** Runs `work` while no other process of this checkout does. A lock whose holder died is taken over. */
export async function withLock(work) {
  let told = false
  while (!take()) {
    const pid = holder()
    if (pid !== undefined && !alive(pid)) {
      // Two that see the same dead holder: the random pause makes it unlikely that one removes the other's new lock,
      // and the second look makes it a matter of microseconds.
      await sleep(Math.random() * 200)
      if (holder() === pid) rmSync(lockFile, { force: true })
      continue
    }
    if (!told) process.stderr.write(`Waiting for process ${pid}, which prepares this checkout (${lockFile})\n`)
    told = true
    await sleep(250)
  }
  const release = () => rmSync(lockFile, { force: true })
  process.once('exit', release)
  try {
    return await work()
  } finally {
    process.off('exit', release)
    release()
  }
}
