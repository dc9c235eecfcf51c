/** PUBLIC TEST KEYS of clients, with which the vectors' proofs are signed. As those in keys.ts, they prove nothing. */

export const proofKey = {
  kty: 'EC',
  x: 'QCNqAKuK7ggzz0Qwi8cfYLL7mjnim7w7J5OWkfnB9Fg',
  y: 'wmlF8qTUpHIWiI8FCzXlwRhmDf8RgtBdZQL5amT4xwg',
  crv: 'P-256',
  d: '7jRAG35ygH8mm9Pb5nJdjf0iwy-BI3ZBTggAzonMkRs',
}

export const proofKey384 = {
  kty: 'EC',
  x: 'cSquHoQBicoUeO_OfD8T6_rihiadCrG2-Ryrgynk0IjqBgMuGX1oHPgsTknTF_mA',
  y: 'zJ6sHRRBAIVyovVQyHuQRcCPz5Htu39v7A8OppPlS6s_hR4dnFb555FCU3EcDJhb',
  crv: 'P-384',
  d: 'KuRy_8Y4ghIpErL3zbj7sJG9Gq0zKR81FKFAkpSK6tjJ0a2SPCYTLBLjlTuhF8OV',
}

export const proofKey521 = {
  kty: 'EC',
  x: 'AUcAaAiUGJsupjHdGkbBjE3jljp3TWJUTTofm1kuptYu0irQxYi09W0p-AuLRwog8oCeMkoLJ0f_jju1h1baN0hw',
  y: 'AQZ3jEnEkpYwT4LAKy38TZUgk8GKpmJL3yUTrCBIXBuqvPeA3upWXXKIkxjPtjtONgQyCX_yKrkfY89z8chJHfTs',
  crv: 'P-521',
  d: 'ADIthBWOouDLzJNkLYxop-KRqPXQToV4GoSzl5BUbcbDU50VhNQi6501CVv5xDA796rYR2-eJTaKIcXytVLw7yJC',
}

export const proofKeyEd25519 = {
  kty: 'OKP',
  crv: 'Ed25519',
  x: '506jWmv93Izz5RJgAtp8PbABY49O3XAxLBDxX5Z36yI',
  d: 'PmETQ-WhCvXsIovPMspZeTnfXg5W1osZX2fP1VJuL1Y',
}
