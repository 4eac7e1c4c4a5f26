// `npm run layers`: dependency-cruiser over those of our folders that exist.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { root, run } from './run.mjs'

const folders = ['service', 'storage-adapters', 'replication', 'retention', 'test', 'bench']
const cruiser = 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs'
const present = folders.filter((folder) => existsSync(path.join(root, folder)))
process.exitCode = await run([cruiser, '--config', '.dependency-cruiser.cjs', ...present])
