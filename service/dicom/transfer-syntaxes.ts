/** One transfer syntax (PS3.5 Annex A) as Firn needs to know it. */
export interface TransferSyntax {
  uid: string
  name: string
  /** Explicit VR; false for implicit. */
  explicit: boolean
  bigEndian: boolean
  /** The data set is compressed with raw deflate (PS3.5 A.5). */
  deflated: boolean
  /** Pixel data is in fragments (PS3.5 A.4). */
  encapsulated: boolean
  /** A whole video is in the fragments: they are one stream, not a fragment per frame (PS3.5 8.2.5 ff). */
  video: boolean
  /** What a frame or the pixel data of it is in DICOMweb (PS3.18 table 8.7.3-2 ff). */
  mediaType: string
}

export const IMPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2'
export const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1'
export const DEFLATED_EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1.99'
export const EXPLICIT_BIG_ENDIAN = '1.2.840.10008.1.2.2'

const OCTETS = 'application/octet-stream'

function syntax(uid: string, name: string, rest: Partial<TransferSyntax> = {}): TransferSyntax {
  return {
    uid,
    name,
    explicit: true,
    bigEndian: false,
    deflated: false,
    encapsulated: false,
    video: false,
    mediaType: OCTETS,
    ...rest,
  }
}

function encapsulated(last: string, name: string, mediaType: string): TransferSyntax {
  return syntax(`1.2.840.10008.1.2.${last}`, name, { encapsulated: true, mediaType })
}

function video(last: string, name: string, mediaType: string): TransferSyntax {
  return { ...encapsulated(last, name, mediaType), video: true }
}

const TABLE: readonly TransferSyntax[] = [
  syntax(IMPLICIT_LITTLE_ENDIAN, 'Implicit VR Little Endian', { explicit: false }),
  syntax(EXPLICIT_LITTLE_ENDIAN, 'Explicit VR Little Endian'),
  encapsulated('1.98', 'Encapsulated Uncompressed Explicit VR Little Endian', OCTETS),
  syntax(DEFLATED_EXPLICIT_LITTLE_ENDIAN, 'Deflated Explicit VR Little Endian', { deflated: true }),
  syntax(EXPLICIT_BIG_ENDIAN, 'Explicit VR Big Endian', { bigEndian: true }),
  encapsulated('4.50', 'JPEG Baseline (Process 1)', 'image/jpeg'),
  encapsulated('4.51', 'JPEG Extended (Process 2 and 4)', 'image/jpeg'),
  encapsulated('4.52', 'JPEG Extended (Process 3 and 5)', 'image/jpeg'),
  encapsulated('4.53', 'JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)', 'image/jpeg'),
  encapsulated('4.54', 'JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)', 'image/jpeg'),
  encapsulated('4.55', 'JPEG Full Progression, Non-Hierarchical (Process 10 and 12)', 'image/jpeg'),
  encapsulated('4.56', 'JPEG Full Progression, Non-Hierarchical (Process 11 and 13)', 'image/jpeg'),
  encapsulated('4.57', 'JPEG Lossless, Non-Hierarchical (Process 14)', 'image/jpeg'),
  encapsulated('4.58', 'JPEG Lossless, Non-Hierarchical (Process 15)', 'image/jpeg'),
  encapsulated('4.59', 'JPEG Extended, Hierarchical (Process 16 and 18)', 'image/jpeg'),
  encapsulated('4.60', 'JPEG Extended, Hierarchical (Process 17 and 19)', 'image/jpeg'),
  encapsulated('4.61', 'JPEG Spectral Selection, Hierarchical (Process 20 and 22)', 'image/jpeg'),
  encapsulated('4.62', 'JPEG Spectral Selection, Hierarchical (Process 21 and 23)', 'image/jpeg'),
  encapsulated('4.63', 'JPEG Full Progression, Hierarchical (Process 24 and 26)', 'image/jpeg'),
  encapsulated('4.64', 'JPEG Full Progression, Hierarchical (Process 25 and 27)', 'image/jpeg'),
  encapsulated('4.65', 'JPEG Lossless, Hierarchical (Process 28)', 'image/jpeg'),
  encapsulated('4.66', 'JPEG Lossless, Hierarchical (Process 29)', 'image/jpeg'),
  encapsulated('4.70', 'JPEG Lossless, Non-Hierarchical, First-Order Prediction', 'image/jpeg'),
  encapsulated('4.80', 'JPEG-LS Lossless Image Compression', 'image/jls'),
  encapsulated('4.81', 'JPEG-LS Lossy (Near-Lossless) Image Compression', 'image/jls'),
  encapsulated('4.90', 'JPEG 2000 Image Compression (Lossless Only)', 'image/jp2'),
  encapsulated('4.91', 'JPEG 2000 Image Compression', 'image/jp2'),
  encapsulated('4.92', 'JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)', 'image/jpx'),
  encapsulated('4.93', 'JPEG 2000 Part 2 Multi-component Image Compression', 'image/jpx'),
  syntax('1.2.840.10008.1.2.4.94', 'JPIP Referenced'),
  syntax('1.2.840.10008.1.2.4.95', 'JPIP Referenced Deflate', { deflated: true }),
  video('4.100', 'MPEG2 Main Profile / Main Level', 'video/mpeg'),
  video('4.100.1', 'Fragmentable MPEG2 Main Profile / Main Level', 'video/mpeg'),
  video('4.101', 'MPEG2 Main Profile / High Level', 'video/mpeg'),
  video('4.101.1', 'Fragmentable MPEG2 Main Profile / High Level', 'video/mpeg'),
  video('4.102', 'MPEG-4 AVC/H.264 High Profile / Level 4.1', 'video/mp4'),
  video('4.102.1', 'Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1', 'video/mp4'),
  video('4.103', 'MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1', 'video/mp4'),
  video('4.103.1', 'Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1', 'video/mp4'),
  video('4.104', 'MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video', 'video/mp4'),
  video('4.104.1', 'Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video', 'video/mp4'),
  video('4.105', 'MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video', 'video/mp4'),
  video('4.105.1', 'Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video', 'video/mp4'),
  video('4.106', 'MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2', 'video/mp4'),
  video('4.106.1', 'Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2', 'video/mp4'),
  video('4.107', 'HEVC/H.265 Main Profile / Level 5.1', 'video/H265'),
  video('4.108', 'HEVC/H.265 Main 10 Profile / Level 5.1', 'video/H265'),
  encapsulated('4.110', 'JPEG XL Lossless', 'image/jxl'),
  encapsulated('4.111', 'JPEG XL JPEG Recompression', 'image/jxl'),
  encapsulated('4.112', 'JPEG XL', 'image/jxl'),
  encapsulated('4.201', 'High-Throughput JPEG 2000 Image Compression (Lossless Only)', 'image/jphc'),
  encapsulated('4.202', 'High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)', 'image/jphc'),
  encapsulated('4.203', 'High-Throughput JPEG 2000 Image Compression', 'image/jphc'),
  syntax('1.2.840.10008.1.2.4.204', 'JPIP HTJ2K Referenced'),
  syntax('1.2.840.10008.1.2.4.205', 'JPIP HTJ2K Referenced Deflate', { deflated: true }),
  encapsulated('5', 'RLE Lossless', 'image/dicom-rle'),
  encapsulated('8.1', 'Deflated Image Frame Compression', OCTETS),
  syntax('1.2.840.10008.1.20', 'Papyrus 3 Implicit VR Little Endian', { explicit: false }),
]

/** Every transfer syntax that Firn knows, by UID. */
export const transferSyntaxes: ReadonlyMap<string, TransferSyntax> = new Map(TABLE.map((each) => [each.uid, each]))

/**
 * What is known of a transfer syntax. One that isn't in the table counts as explicit little endian and encapsulated,
 * which is what PS3.5 10 asks of every compressed one; its frames are octets.
 */
export function transferSyntax(uid: string): TransferSyntax {
  return transferSyntaxes.get(uid) ?? syntax(uid, 'Unknown', { encapsulated: true })
}
