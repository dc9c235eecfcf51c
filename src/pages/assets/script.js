// Takes the token of a link in a mail out of the address bar and the history, into the form. The form is sent by the
// visitor: programs that follow links and run scripts, as mail scanners do, must change nothing.
const take = () => {
  const token = new URLSearchParams(location.hash.slice(1)).get('token')
  const field = document.querySelector('[name=token]')
  if (!token || !field) return
  history.replaceState(null, '', location.pathname + location.search)
  // What was wrong with the link before this one.
  document.querySelector('main .alert')?.remove()
  field.value = token
  field.closest('.field')?.setAttribute('hidden', '')
  // What would otherwise have to be typed. Disabled fields are neither sent nor required.
  for (const typed of document.querySelectorAll('.typed')) typed.hidden = typed.disabled = true
  const seen = [...document.querySelectorAll('main input, main .primary')].find((each) => each.checkVisibility())
  seen?.focus()
}
take()
// Another link, opened in the same tab.
addEventListener('hashchange', take)
