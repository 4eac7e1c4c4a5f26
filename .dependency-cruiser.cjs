// The allowed imports of the architecture. Each rule says why it is there; `npm run layers` and CI enforce them.

const parts = ['service', 'storage-adapters', 'replication', 'retention']
/** Everything of ours that isn't below one of these paths. */
const oursExcept = (...allowed) => ({
  path: `^(${[...parts, 'test', 'bench', 'web'].join('|')})/`,
  pathNot: allowed.map((folder) => `^${folder}`),
})
const packages = (...names) => ({ path: `(^|/)node_modules/(${names.join('|')})(/|$)` })
const useCases =
  '^service/(ingest|import|retrieve|lifecycle|landing|packing|events|stores|retention|corrections|commitment)/'
/** The only place that builds concrete parts: the node, and the storage with its catalogue that it opens. */
const compositionRoot =
  '^service/(main|archive|background|imports|audit-node|open-commitments|peering|pair-sites|site-control)[.]ts$'
const isTest = '[.]test[.]ts$'
const protocolPackages = ['express', 'express-rate-limit', 'helmet', 'knex', 'sqlite3', 'pg', '@aws-sdk']

module.exports = {
  forbidden: [
    {
      name: 'contract-imports-nothing-of-ours',
      comment: 'The adapter contract is what third parties build against: it must stand alone.',
      severity: 'error',
      from: { path: '^storage-adapters/contract/', pathNot: isTest },
      to: oursExcept('storage-adapters/contract/'),
    },
    {
      name: 'adapters-only-the-contract',
      comment:
        'An adapter or wrapper that knew more of Firn could not be swapped, nor tested by the conformance suite alone.',
      severity: 'error',
      from: { path: '^storage-adapters/([^/]+)/', pathNot: ['^storage-adapters/contract/', isTest] },
      to: oursExcept('storage-adapters/contract/', 'storage-adapters/$1/'),
    },
    {
      name: 'only-retention-mints-permits',
      comment: 'Whoever could mint a permit could free bytes that the law wants kept.',
      severity: 'error',
      from: {
        path: `^(${parts.join('|')})/`,
        pathNot: ['^retention/', '^storage-adapters/contract/permit[.]ts$', '^storage-adapters/conformance/', isTest],
      },
      to: { path: '^storage-adapters/contract/permit-mint[.]ts$' },
    },
    {
      name: 'replication-only-contract-and-own-ports',
      comment: 'The two-site protocol runs in the simulation over ports; a concrete part would bring real I/O into it.',
      severity: 'error',
      from: { path: '^replication/', pathNot: isTest },
      to: oursExcept('storage-adapters/contract/', 'replication/'),
    },
    {
      name: 'retention-only-contract-and-own-ports',
      comment:
        'Decisions of law are pure functions: no I/O, nothing that could bypass the one gate that mints permits.',
      severity: 'error',
      from: { path: '^retention/', pathNot: isTest },
      to: oursExcept('storage-adapters/contract/', 'retention/'),
    },
    {
      name: 'use-cases-know-no-protocol',
      comment: 'Receiving and retrieving are the same whatever protocol asks and whatever database answers.',
      severity: 'error',
      from: { path: useCases, pathNot: isTest },
      to: packages(...protocolPackages),
    },
    {
      name: 'use-cases-know-no-server',
      comment: 'Protocols call use cases, never the other way round; both meet in main.ts.',
      severity: 'error',
      from: { path: useCases, pathNot: isTest },
      to: {
        path: [
          '^service/(http|dimse|cli|main|archive)',
          '^service/catalogue/knex/',
          '^(node:)?(http|https|http2|net|tls)$',
        ],
      },
    },
    {
      name: 'dicom-knows-only-itself',
      comment: 'The model of DICOM is what everything else is built on.',
      severity: 'error',
      from: { path: '^service/dicom/', pathNot: isTest },
      to: oursExcept('service/dicom/', 'service/errors'),
    },
    {
      name: 'only-the-catalogue-uses-knex',
      comment:
        'One place holds SQL, so that SQLite and PostgreSQL stay exchangeable and injection has one door. ' +
        'The folder lock uses SQLite for the lock of its file, not for SQL.',
      severity: 'error',
      from: { path: `^(${parts.join('|')})/`, pathNot: ['^service/catalogue/knex/', '^service/folder-lock[.]ts$'] },
      to: packages('knex', 'sqlite3', 'pg'),
    },
    {
      name: 'only-dicom-uses-dicom-parser',
      comment: 'One place parses untrusted bytes, so that its bounds are checked in one place.',
      severity: 'error',
      from: { path: `^(${parts.join('|')})/`, pathNot: ['^service/dicom/'] },
      to: packages('dicom-parser'),
    },
    {
      name: 'only-http-uses-express',
      comment: 'Protocol libraries stay where their protocol is.',
      severity: 'error',
      from: { path: `^(${parts.join('|')})/`, pathNot: ['^service/http/'] },
      to: packages('express', 'express-rate-limit', 'helmet'),
    },
    {
      name: 'protocols-use-only-cases-and-ports',
      comment:
        'http and dimse speak to use cases and ports, never to each other and never to a concrete store or database.',
      severity: 'error',
      from: { path: '^service/(http|dimse)/', pathNot: isTest },
      to: oursExcept(
        'service/$1/',
        'service/(dicom|ingest|import|retrieve|lifecycle|config|retention)/',
        'service/errors',
        'service/events/event',
        'service/[a-z-]+/[a-z-]*ports[.]ts$',
      ),
    },
    {
      name: 'catalogue-behind-its-ports',
      comment:
        'Only the composition root, which builds the concrete parts, and the command line name the database behind the ports.',
      severity: 'error',
      from: {
        path: `^(${parts.join('|')})/`,
        pathNot: ['^service/catalogue/', compositionRoot, '^service/cli/', isTest],
      },
      to: { path: '^service/catalogue/knex/' },
    },
    {
      name: 'only-one-place-builds-stores',
      comment: 'Everybody else speaks to a store through the contract, whoever made it.',
      severity: 'error',
      from: { path: '^(service|replication|retention)/', pathNot: ['^service/stores/', compositionRoot, isTest] },
      to: { path: '^storage-adapters/(file|s3|memory)/' },
    },
    {
      name: 'nobody-imports-main',
      comment: 'The composition root is the top: only the command line starts it.',
      severity: 'error',
      from: { path: `^(${parts.join('|')})/`, pathNot: ['^service/cli/', compositionRoot, isTest] },
      to: { path: compositionRoot },
    },
    {
      name: 'acceptance-is-black-box',
      comment:
        'These tests would survive a rewrite: they speak protocols to a process, and import nothing of the product.',
      severity: 'error',
      from: { path: '^test/(acceptance|interop|fixtures|support)/' },
      to: { path: `^(${parts.join('|')})/` },
    },
    {
      name: 'product-imports-no-tests',
      comment: 'Fixtures are independent evidence; the product must not lean on them.',
      severity: 'error',
      from: { path: `^(${parts.join('|')})/`, pathNot: isTest },
      to: { path: ['^(test|bench)/', isTest] },
    },
    {
      name: 'no-dev-dependency-in-the-product',
      comment: 'What the product imports must be there after an install without dev dependencies.',
      severity: 'error',
      from: { path: `^(${parts.join('|')})/`, pathNot: [isTest, '/conformance/'] },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-cycles',
      comment: 'Files in a cycle can only be understood, tested and moved together.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'imports-exist',
      comment: 'A rule about a file cannot apply to an import that was not resolved.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
