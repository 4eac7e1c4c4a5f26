import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toNativeXml } from './xml.ts'

const START =
  '<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'

test('the Native DICOM Model', () => {
  const xml = toNativeXml({
    '30060002': { vr: 'SH' },
    '00080008': { vr: 'CS', Value: ['A', null] },
    '00082112': { vr: 'SQ', Value: [{ '00280010': { vr: 'US', Value: [5] } }, {}] },
    '00090010': { vr: 'LO', Value: ['FIRN "<&>"'] },
    '00091001': { vr: 'UN', InlineBinary: 'AQI=' },
    '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Yamada^Tarou^^Dr', Ideographic: '山田' }] },
    '7FE00010': { vr: 'OW', BulkDataURI: 'http://h/bulk?a=1&b=2' },
  })
  const expected = [
    '<DicomAttribute tag="00080008" vr="CS" keyword="ImageType"><Value number="1">A</Value><Value number="2"></Value></DicomAttribute>',
    '<DicomAttribute tag="00082112" vr="SQ" keyword="SourceImageSequence"><Item number="1">',
    '<DicomAttribute tag="00280010" vr="US" keyword="Rows"><Value number="1">5</Value></DicomAttribute>',
    '</Item><Item number="2"></Item></DicomAttribute>',
    '<DicomAttribute tag="00090010" vr="LO"><Value number="1">FIRN &quot;&lt;&amp;&gt;&quot;</Value></DicomAttribute>',
    '<DicomAttribute tag="00091001" vr="UN" privateCreator="FIRN &quot;&lt;&amp;&gt;&quot;"><InlineBinary>AQI=</InlineBinary></DicomAttribute>',
    '<DicomAttribute tag="00100010" vr="PN" keyword="PatientName"><PersonName number="1">',
    '<Alphabetic><FamilyName>Yamada</FamilyName><GivenName>Tarou</GivenName><NamePrefix>Dr</NamePrefix></Alphabetic>',
    '<Ideographic><FamilyName>山田</FamilyName></Ideographic></PersonName></DicomAttribute>',
    '<DicomAttribute tag="30060002" vr="SH" keyword="StructureSetLabel"></DicomAttribute>',
    '<DicomAttribute tag="7FE00010" vr="OW" keyword="PixelData"><BulkData uri="http://h/bulk?a=1&amp;b=2"/></DicomAttribute>',
  ].join('')
  assert.equal(xml, `${START}${expected}</NativeDicomModel>`)
})

test('characters that XML cannot hold', () => {
  const xml = toNativeXml({ '00104000': { vr: 'LT', Value: ['a\0b\x1bc\r\n\td\ud800e\uffff😀\x85'] } })
  assert.ok(xml.includes('>a\ufffdb\ufffdc&#13;&#10;&#9;d\ufffde\ufffd😀\x85<'))
})
