import { expect, test } from 'vitest'
import { describeDevice } from '../../../src/outbox/mail/device.ts'

test.each([
  [null, null],
  ['', null],
  ['Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', 'Firefox, Linux'],
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0',
    'Edge, Windows',
  ],
  [
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15',
    'Safari, macOS',
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0 Mobile/15E148 Safari/604.1',
    'Chrome, iPhone',
  ],
  [
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36',
    'Chrome, Android',
  ],
  [
    'Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
    'Chrome, ChromeOS',
  ],
  ['curl/8.17.0', 'curl 8.17'],
  ['okhttp/4.12.0', 'okhttp 4.12'],
  ['python-requests/2.32.5', 'python-requests 2.32'],
  ['com.example.app/3 (iOS 18)', 'com 3'],
  ['http://evil.example/', null],
  ['https://evil.example Firefox', null],
  ['evil.example', 'evil'],
  ['+49 30 1234567', null],
  ['call0900123456/0900123456', 'call 090'],
  ['MyApp/2.1.0+build.7 (iOS)', 'MyApp 2.1'],
  ['MyApp (iOS)', 'MyApp'],
  ['Ваш пароль украден', null],
])('%j is told as %j', (userAgent, told) => {
  expect(describeDevice(userAgent)).toBe(told)
})
