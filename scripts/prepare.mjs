// Decides whether dependencies must be installed and sources be built, and does so. The check costs a few dozen
// milliseconds: two small stamps are compared with a hash of what they were made from.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { withLock } from './lock.mjs'
import { expected, hasProgram, root, runWithProgress } from './run.mjs'

const at = (...parts) => path.join(root, ...parts)
const installStamp = at('node_modules', '.firn-stamp')
const buildStamp = at('dist', '.firn-stamp')
const built = ['service', 'storage-adapters', 'replication', 'retention']

export async function prepare() {
  if (installed() && isBuilt()) return
  await withLock(async () => {
    if (!installed()) await install()
    if (!isBuilt()) await build()
  })
}

const sha256 = (...texts) => {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(text).update('\0')
  return hash.digest('hex')
}

const read = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : undefined)

/** Changes when other packages are wanted, and with the ABI that compiled ones were made for. */
function installWanted() {
  const { dependencies, devDependencies, overrides, engines } = JSON.parse(readFileSync(at('package.json'), 'utf8'))
  const wanted = JSON.stringify({ dependencies, devDependencies, overrides, engines })
  return sha256(wanted, readFileSync(at('package-lock.json')), process.platform, process.arch, process.versions.modules)
}

const installed = () => read(installStamp) === installWanted()

/** What npm notes of its last install agrees with the lock file: somebody ran npm by hand, and nothing is missing. */
function matchesLockFile() {
  const noted = read(at('node_modules', '.package-lock.json'))
  if (noted === undefined) return false
  const have = JSON.parse(noted).packages
  const want = JSON.parse(readFileSync(at('package-lock.json'), 'utf8')).packages
  return Object.entries(want).every(
    ([name, { version, optional }]) => name === '' || have[name]?.version === version || (optional && !have[name]),
  )
}

/** Compiled packages use Node-API, which is the same for every Node.js here; loading one is the proof. */
async function compiledLoads() {
  const { code } = await runWithProgress('Checking compiled dependencies', process.execPath, [
    '-e',
    'require("sqlite3")',
  ])
  return code === 0
}

async function install() {
  if (matchesLockFile() && (await compiledLoads())) {
    writeFileSync(installStamp, installWanted())
    return
  }
  const title = 'Installing dependencies; sqlite3 is compiled, which takes some minutes the first time ...'
  const npm = process.env.npm_execpath
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
  const { code, output } = npm?.endsWith('.js')
    ? await runWithProgress(title, process.execPath, [npm, ...args])
    : await runWithProgress(title, 'npm', args)
  if (code !== 0) throw expected(`npm ci failed:\n${lastLines(output)}\n${missingTools()}`)
  writeFileSync(installStamp, installWanted())
}

const lastLines = (text) => text.trim().split('\n').slice(-30).join('\n')

function missingTools() {
  const missing = []
  if (!process.env.CXX && !hasProgram('g++', 'c++', 'clang++')) missing.push('a C++ compiler (Debian: g++)')
  if (!hasProgram('make', 'gmake')) missing.push('make')
  if (!process.env.PYTHON && !hasProgram('python3', 'python')) missing.push('Python 3 (Debian: python3)')
  if (missing.length === 0) return ''
  return `To compile sqlite3, this machine lacks: ${missing.join(', ')}. Install that and run the same command again.`
}

/** Names, sizes and times of all that goes into dist/. */
function buildWanted() {
  const parts = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((name) =>
    readFileSync(at(name), 'utf8'),
  )
  const walk = (folder) => {
    for (const entry of readdirSync(at(folder), { withFileTypes: true })) {
      const name = `${folder}/${entry.name}`
      if (entry.isDirectory()) walk(name)
      else if (name.endsWith('.ts') && !name.endsWith('.test.ts')) {
        const { size, mtimeMs } = statSync(at(name))
        parts.push(`${name} ${size} ${mtimeMs}`)
      }
    }
  }
  for (const folder of built) if (existsSync(at(folder))) walk(folder)
  return sha256(...parts.sort())
}

const isBuilt = () => read(buildStamp) === buildWanted()

/** Compiles beside dist/ and swaps, so that nobody ever runs half of it and nothing of removed sources stays. */
async function build() {
  const wanted = buildWanted()
  // What an interrupted build left.
  for (const name of readdirSync(root)) {
    if (name.startsWith('.firn-stamp-dist-')) rmSync(at(name), { recursive: true, force: true })
  }
  const fresh = at(`.firn-stamp-dist-${process.pid}`)
  const old = `${fresh}-old`
  const tsc = at('node_modules', 'typescript', 'bin', 'tsc')
  const args = [tsc, '-p', 'tsconfig.build.json', '--noEmitOnError', '--outDir', fresh]
  try {
    const { code, output } = await runWithProgress('Building ...', process.execPath, args)
    if (code !== 0) throw expected(`the build failed:\n${output.trim()}`)
    mkdirSync(fresh, { recursive: true })
    writeFileSync(path.join(fresh, '.firn-stamp'), wanted)
    if (existsSync(at('dist'))) renameSync(at('dist'), old)
    renameSync(fresh, at('dist'))
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(old, { recursive: true, force: true })
  }
}
