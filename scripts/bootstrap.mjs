// `npm start`, `npm test` and `npm run bench` as the very first command after `git clone`: installs and builds what is
// missing or changed, then hands on. Plain Node without dependencies, because it runs before there are any.
import { prepare } from './prepare.mjs'
import { hostsNode, run } from './run.mjs'

const verbs = {
  build: () => 0,
  start: (args) =>
    run([
      'bin/firn.cjs',
      'start',
      ...(args.some((arg) => /^--(sites|help)/.test(arg)) ? [] : ['--sites', '2']),
      ...args,
    ]),
  test: async (args) => (await import('./run-tests.mjs')).runTests(args),
  bench: (args) => run(['--import', 'tsx', 'bench/main.ts', ...args]),
}

const [verb = '', ...args] = process.argv.slice(2)
if (!Object.hasOwn(verbs, verb)) {
  console.error(`usage: node scripts/bootstrap.mjs ${Object.keys(verbs).join('|')} [arguments]`)
  process.exit(2)
}
try {
  hostsNode()
  await prepare()
  process.exitCode = await verbs[verb](args)
} catch (error) {
  console.error(`firn: ${error.expected ? error.message : error.stack}`)
  process.exitCode = 3
}
