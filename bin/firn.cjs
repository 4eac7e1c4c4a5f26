#!/usr/bin/env node
'use strict'

// CommonJS on purpose: libuv reads UV_THREADPOOL_SIZE when its pool is first used, and loading an ES module uses the
// pool. Hashing, file reads and writes and fdatasync all share that pool; its default of 4 would make them queue.
if (!process.env.UV_THREADPOOL_SIZE) process.env.UV_THREADPOOL_SIZE = '16'

const fs = require('node:fs')
const path = require('node:path')
const { pathToFileURL } = require('node:url')

const root = path.join(__dirname, '..')
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 17)) {
  fs.writeSync(2, `firn: Node.js 20.17 or newer is needed; this is ${process.versions.node}\n`)
  process.exit(3)
}

const main = path.join(root, 'dist', 'service', 'cli', 'main.js')
if (!fs.existsSync(main)) {
  fs.writeSync(2, 'firn: not built yet: run `npm run build` in the folder that holds package.json\n')
  process.exit(3)
}

import(pathToFileURL(main).href)
  .then((cli) => cli.main(process.argv.slice(2)))
  .then((code) => process.exit(code))
  .catch((error) => {
    fs.writeSync(2, `firn: ${error?.stack ?? error}\n`)
    process.exit(3)
  })
