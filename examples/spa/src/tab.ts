const birds = 'Avocet Bittern Crane Dipper Egret Finch Grebe Heron Ibis Jay Kestrel Lark Martin Nightjar Osprey Plover'
const names = birds.split(' ')

/** A name for this tab, so that people can tell which of them did something. It survives a reload. */
export function nameOfTab(): string {
  const known = sessionStorage.getItem('demo-tab')
  if (known && names.includes(known)) return known
  const name = names[Math.floor(Math.random() * names.length)] ?? 'Heron'
  sessionStorage.setItem('demo-tab', name)
  return name
}
