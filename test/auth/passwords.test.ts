import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createPasswords } from '../../src/auth/passwords.ts'

const PHC = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/

t.test('a password verifies against its own hash only', async t => {
  const passwords = createPasswords()
  const [one, two] = [await passwords.hash('correct horse'), await passwords.hash('correct horse')]
  t.match(one, PHC)
  t.not(one, two, 'each has a salt of its own')
  t.equal(await passwords.verify('correct horse', one), true)
  t.equal(await passwords.verify('correct horsf', one), false)
  t.equal(await passwords.verify('', one), false)
})

t.test('a password is the same however its letters are composed', async t => {
  const passwords = createPasswords()
  t.equal(await passwords.verify('cafe\u0301 au lait', await passwords.hash('café au lait')), true)
})

t.test('a hash made by another program with other parameters verifies', async t => {
  // argon2-cffi: hash_secret(b'password', b'somesalt', 2, 64, 1, 24, Type.ID), out of the reference implementation's tests
  const phc = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
  t.equal(await createPasswords().verify('password', phc), true)
  t.equal(await createPasswords().verify('passwore', phc), false)
})

t.test('where there is no hash the answer is no, after the same work', async t => {
  const passwords = createPasswords({ runningMax: 1 })
  const phc = await passwords.hash('a password') as string
  // Time of the processor, threads included: that of the clock depends on who else is at work here.
  const costOf = async (phc?: string): Promise<number> => {
    const from = process.cpuUsage()
    t.equal(await passwords.verify('something else', phc), false)
    const { user, system } = process.cpuUsage(from)
    return user + system
  }
  const [known, unknown]: [number[], number[]] = [[], []]
  for (let i = 0; i < 7; i++) {
    known.push(await costOf(phc))
    unknown.push(await costOf())
  }
  const [somebody, nobody] = [Math.min(...known), Math.min(...unknown)]
  t.ok(nobody > somebody / 2 && nobody < somebody * 2, `${nobody} µs for nobody, ${somebody} µs for somebody`)
})

t.test('no more are hashed at a time than allowed, and no more wait', async t => {
  const passwords = createPasswords({ runningMax: 2, waitingMax: 3 })
  const seen: Array<{ running: number, waiting: number }> = []
  const answers = Array.from({ length: 8 }, async () => {
    const answer = await passwords.hash('a password')
    seen.push(passwords.stats())
    return answer
  })
  t.same(passwords.stats(), { running: 2, waiting: 3 })
  const results = await Promise.all(answers)
  t.equal(results.filter(result => result === 'overloaded').length, 3)
  t.equal(results.filter(result => PHC.test(result)).length, 5)
  t.ok(seen.every(({ running, waiting }) => running <= 2 && waiting <= 3))
  await sleep(0)
  t.same(passwords.stats(), { running: 0, waiting: 0 })
})

t.test('a failure gives its place back', async t => {
  const passwords = createPasswords({ runningMax: 1, waitingMax: 1 })
  await t.rejects(passwords.verify('a password', 'not a hash'), /PHC/)
  t.same(passwords.stats(), { running: 0, waiting: 0 })
  t.match(await passwords.hash('a password'), PHC)
})
