/** The same items, the next one fetched while this one is being used. */
export async function* lookAhead<Item>(items: AsyncIterable<Item>): AsyncGenerator<Item> {
  const iterator = items[Symbol.asyncIterator]()
  let next = iterator.next()
  try {
    for (let { value, done } = await next; !done; { value, done } = await next) {
      next = iterator.next()
      // It is awaited in its turn, or never when the reader leaves.
      next.catch(() => undefined)
      yield value
    }
  } finally {
    await next.catch(() => undefined)
    await iterator.return?.()
  }
}
