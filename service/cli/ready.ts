import type { NodeAddresses } from '../main.ts'

/** What a user needs to know of a node that runs, and lines to try. */
export function readyText({ http, dimse }: NodeAddresses, name = 'firn ready', withExamples = true): string {
  const dicomWeb = `${http}/dicom-web`
  const lines = [`${name}: DICOMweb ${dicomWeb}  API ${http}/api/v1  ${dimseText(dimse)}`]
  if (!withExamples) return lines.join('\n')
  if (dimse) lines.push(`  send a file:  storescu -aec ${dimse.aeTitle} ${dimse.host} ${dimse.port} image.dcm`)
  lines.push(
    `  or:           curl -F 'file=@image.dcm;type=application/dicom' -H 'Content-Type: multipart/related; type="application/dicom"' ${dicomWeb}/studies`,
    `  find it:      curl '${dicomWeb}/studies?limit=10'`,
  )
  return lines.join('\n')
}

function dimseText(dimse: NodeAddresses['dimse']): string {
  return dimse ? `DIMSE ${dimse.aeTitle}@${dimse.host}:${dimse.port}` : 'DIMSE off'
}
