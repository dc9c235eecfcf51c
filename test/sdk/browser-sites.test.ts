import { describe, expect, test } from 'vitest'
import { siteOf } from '../../sdk/browser/src/obstacle.ts'

// Pages of another site than the issuer's: which the browser package knows of without the list of public suffixes.

describe('two URLs may be of one site', () => {
  test.each([
    ['http://localhost:5173', 'http://localhost:3000'],
    ['https://app.example.com', 'https://auth.example.com:8443'],
    ['https://example.com', 'https://auth.example.com'],
    ['https://a.b.example.com', 'https://c.d.example.com'],
    ['http://app.acme.localhost', 'http://auth.acme.localhost'],
    ['http://127.0.0.1:1', 'http://127.0.0.1:2'],
    ['http://[::1]:1', 'http://[::1]:2'],
    ['https://app.lan2', 'https://app.lan2'],
    ['https://1.example.com', 'https://2.example.com'],
    ['https://BÜCHER.example', 'https://auth.bücher.example'],
    // Only the list of public suffixes tells them apart.
    ['https://a.co.uk', 'https://b.co.uk'],
    ['https://a.github.io', 'https://b.github.io'],
  ])('%s and %s', (one, other) => expect(siteOf(one)).toBe(siteOf(other)))
})

describe('two URLs cannot be of one site', () => {
  test.each([
    ['http://localhost:5173', 'http://127.0.0.1:3000'],
    ['http://localhost:5173', 'http://[::1]:3000'],
    ['http://127.0.0.1', 'http://127.0.0.2'],
    ['http://10.0.0.1', 'http://192.168.0.1'],
    ['http://localhost', 'http://app.localhost'],
    ['http://app.localhost', 'http://auth.localhost'],
    ['http://intranet', 'http://app.intranet'],
    ['https://app.example.com', 'https://auth.example.org'],
    ['https://app.acme.com', 'https://auth.claviger.com'],
    ['https://example.com', 'https://example.com.'],
    ['http://app.example.com', 'https://app.example.com'],
    ['capacitor://localhost', 'http://localhost'],
    ['chrome-extension://abcdefghijklmnop', 'https://auth.example.com'],
  ])('%s and %s', (one, other) => expect(siteOf(one)).not.toBe(siteOf(other)))
})
