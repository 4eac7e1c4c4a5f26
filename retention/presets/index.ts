import { at } from './at.ts'
import { be } from './be.ts'
import { ch } from './ch.ts'
import { de } from './de.ts'
import { england } from './england.ts'
import { fr } from './fr.ts'
import { it } from './it.ts'
import { nl } from './nl.ts'
import type { PresetInput } from './preset.ts'
import { rcr } from './rcr.ts'
import { us } from './us.ts'

/** Every preset by its id. */
export const presets: Readonly<Record<string, PresetInput>> = { de, at, ch, fr, england, rcr, us, be, nl, it }
