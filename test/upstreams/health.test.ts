import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Patient } from '../support/patient.ts';

describe('failures in a row', () => {
  test('eject at ejectAfter, not before', () => {
    const patient = new Patient();
    assert.deepEqual([patient.fail(), patient.fail(), patient.health.standing], [false, false, 'well']);
    assert.deepEqual([patient.fail(), patient.health.standing], [true, 'ejected']);
  });

  test('are not in a row with a success between them', () => {
    const patient = new Patient();
    for (let i = 0; i < 10; i++) {
      assert.deepEqual([patient.fail(), patient.fail(), patient.succeed()], [false, false, false]);
    }
    assert.equal(patient.health.standing, 'well');
  });

  test('have no time limit: rare requests that all fail are failures in a row', () => {
    const patient = new Patient();
    patient.fail();
    patient.wait(86_400_000);
    patient.fail();
    patient.wait(86_400_000);
    assert.equal(patient.fail(), true);
  });

  test('eject at the first with ejectAfter 1', () => {
    assert.equal(new Patient({ ejectAfter: 1 }).fail(), true);
  });

  test('never eject with ejectAfter 0', () => {
    const patient = new Patient({ ejectAfter: 0 });
    for (let i = 0; i < 1_000; i++) assert.equal(patient.fail(), false);
    assert.deepEqual([patient.health.standing, patient.health.ramp], ['well', 1]);
  });

  test('start from zero after a return', () => {
    const patient = new Patient().toTrial();
    patient.succeed();
    assert.deepEqual([patient.fail(), patient.fail(), patient.fail()], [false, false, true]);
  });
});

describe('an ejection', () => {
  test('lasts for ejectMs, and then the trial comes', () => {
    const patient = new Patient().eject();
    assert.equal(patient.health.ejectedMs, 1_000);
    assert.equal(patient.wait(999), false);
    assert.equal(patient.health.standing, 'ejected');
    assert.equal(patient.wait(1), true);
    assert.equal(patient.health.standing, 'trial');
    assert.equal(patient.wait(1_000_000), false, 'the trial waits for a request');
  });

  test('lasts twice as long each time that the trial fails, up to maxEjectMs', () => {
    const patient = new Patient();
    const lengths: number[] = [];
    for (let i = 0; i < 8; i++) {
      lengths.push(patient.eject().health.ejectedMs);
      patient.wait(patient.health.ejectedMs);
    }
    assert.deepEqual(lengths, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  test('never overflows', () => {
    const patient = new Patient();
    for (let i = 0; i < 2_000; i++) patient.toTrial();
    assert.equal(patient.eject().health.ejectedMs, 30_000);
  });

  test('lasts for maxEjectMs if that is less than ejectMs', () => {
    assert.equal(new Patient({ ejectMs: 5_000, maxEjectMs: 2_000 }).eject().health.ejectedMs, 2_000);
  });

  for (const [chance, ms] of [[0, 900], [0.25, 950], [0.5, 1_000], [1 - 2 ** -32, 1_100]] as const) {
    test(`lasts a tenth longer or shorter, by chance: ${chance} is ${ms} ms`, () => {
      const { health } = new Patient({}, () => chance).eject();
      assert.ok(Math.abs(health.ejectedMs - ms) < 1e-3, String(health.ejectedMs));
    });
  }

  test('is not made longer by failures during it', () => {
    const patient = new Patient().eject();
    patient.wait(500);
    for (let i = 0; i < 100; i++) assert.equal(patient.fail(), false);
    assert.equal(patient.wait(500), true);
    assert.equal(patient.health.standing, 'trial');
    assert.equal(patient.fail(), true);
    assert.equal(patient.health.ejectedMs, 2_000);
  });

  test('ends at a success during it, with the whole weight: it was needed', () => {
    const patient = new Patient().eject();
    patient.wait(1);
    assert.equal(patient.succeed(), true);
    assert.deepEqual([patient.health.standing, patient.health.ramp], ['well', 1]);
  });

  test('soon after a return lasts twice as long as the one before', () => {
    const patient = new Patient().toTrial();
    patient.succeed();
    patient.wait(30_000);
    assert.equal(patient.eject().health.ejectedMs, 2_000);
  });

  test('counts as the first again after serving well for longer than maxEjectMs', () => {
    const patient = new Patient();
    for (let i = 0; i < 4; i++) patient.toTrial();
    patient.succeed();
    patient.wait(30_001);
    assert.equal(patient.eject().health.ejectedMs, 1_000);
    patient.wait(1_000);
    assert.equal(patient.eject().health.ejectedMs, 2_000, 'and they grow as before');
  });
});

describe('what began before the last change of health does not count', () => {
  test('a failure that comes late does not fail the trial', () => {
    const patient = new Patient();
    const began = patient.now;
    patient.wait(1);
    patient.toTrial();
    assert.equal(patient.fail(began), false);
    assert.equal(patient.health.standing, 'trial');
  });

  test('an answer that comes late does not end the ejection, nor pass the trial', () => {
    const patient = new Patient();
    const began = patient.now;
    patient.wait(1);
    patient.eject();
    assert.equal(patient.succeed({ began }), false);
    patient.wait(1_000);
    assert.equal(patient.succeed({ began }), false);
    assert.equal(patient.health.standing, 'trial');
  });

  test('failures from before its return are not held against it', () => {
    const patient = new Patient().toTrial();
    const began = patient.now;
    patient.wait(1);
    patient.succeed();
    for (let i = 0; i < 10; i++) assert.equal(patient.fail(began), false);
    assert.deepEqual([patient.fail(), patient.fail(), patient.fail()], [false, false, true]);
  });
});

describe('a trial', () => {
  test('that fails ejects at once', () => {
    const patient = new Patient().toTrial();
    assert.equal(patient.fail(), true);
    assert.equal(patient.health.standing, 'ejected');
  });

  test('that passes readmits, slowly', () => {
    const patient = new Patient().toTrial();
    assert.equal(patient.succeed(), true);
    assert.deepEqual([patient.health.standing, patient.health.ramp], ['well', 0.1]);
  });

  test('that passes on a needed upstream readmits at once', () => {
    const patient = new Patient().toTrial();
    assert.equal(patient.succeed({ needed: true }), true);
    assert.deepEqual([patient.health.standing, patient.health.ramp], ['well', 1]);
  });
});

describe('responses that break off', () => {
  test('eject in a row, although each had begun', () => {
    const patient = new Patient();
    assert.deepEqual([patient.breakOff(), patient.breakOff(), patient.breakOff()], [false, false, true]);
  });

  test('are not in a row with a complete one between them', () => {
    const patient = new Patient();
    for (let i = 0; i < 10; i++) {
      assert.deepEqual([patient.breakOff(), patient.breakOff()], [false, false]);
      patient.health.succeeded(patient.now);
    }
  });

  test('stay in a row beside responses that never end', () => {
    const patient = new Patient();
    patient.breakOff();
    patient.succeed();
    patient.breakOff();
    patient.succeed();
    assert.equal(patient.breakOff(), true);
  });
});
