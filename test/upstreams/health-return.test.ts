import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Patient } from '../support/patient.ts';

describe('a slow start', () => {
  test('goes in ten steps, and is over after slowStartMs', () => {
    const patient = new Patient().toTrial();
    patient.succeed();
    const steps: [after: number, ramp: number][] = [[0, patient.health.ramp]];
    for (let after = 100; after <= 12_000; after += 100) {
      if (patient.wait(100)) steps.push([after, patient.health.ramp]);
    }
    assert.deepEqual(steps, [
      [0, 0.1], [2_000, 0.2], [3_000, 0.3], [4_000, 0.4], [5_000, 0.5], [6_000, 0.6], [7_000, 0.7], [8_000, 0.8],
      [9_000, 0.9], [10_000, 1],
    ]);
  });

  test('depends on the time, however rarely it is checked', () => {
    const patient = new Patient().toTrial();
    patient.succeed();
    assert.equal(patient.wait(7_500), true);
    assert.equal(patient.health.ramp, 0.7);
    assert.equal(patient.wait(86_400_000), true);
    assert.equal(patient.health.ramp, 1);
    assert.equal(patient.wait(86_400_000), false);
  });

  test('of 0 ms does not happen', () => {
    const patient = new Patient({ slowStartMs: 0 }).toTrial();
    patient.succeed();
    assert.equal(patient.health.ramp, 1);
    assert.equal(patient.wait(1), false);
  });

  test('of 1 ms is over at the next check', () => {
    const patient = new Patient({ slowStartMs: 1 }).toTrial();
    patient.succeed();
    assert.equal(patient.wait(0), false);
    assert.equal(patient.wait(1), true);
    assert.equal(patient.health.ramp, 1);
  });

  test('is broken off by an ejection: its trial has the whole weight', () => {
    const patient = new Patient().toTrial();
    patient.succeed();
    patient.wait(5_000);
    patient.eject();
    assert.equal(patient.health.ramp, 1);
    patient.wait(2_000);
    assert.deepEqual([patient.health.standing, patient.health.ramp], ['trial', 1]);
  });

  test('is broken off by probes: nothing changes while it is down', () => {
    const patient = new Patient().toTrial();
    patient.succeed();
    patient.wait(5_000);
    patient.probe(false);
    assert.equal(patient.health.ramp, 1);
    for (let i = 0; i < 20; i++) assert.equal(patient.wait(1_000), false);
    assert.equal(patient.health.standing, 'ejected');
  });
});

describe('a return that is hastened, since others that failed with it are back', () => {
  test('has a slow start that counts from when they came back', () => {
    const patient = new Patient().eject();
    patient.health.hasten(patient.now);
    patient.wait(700);
    assert.equal(patient.health.standing, 'trial');
    patient.succeed();
    assert.equal(patient.health.ramp, 0.1);
    patient.wait(1_300);
    assert.equal(patient.health.ramp, 0.2);
    patient.wait(8_000);
    assert.equal(patient.health.ramp, 1);
  });

  test('is an ordinary one if its trial fails: the next slow start counts from its readmission', () => {
    const patient = new Patient().eject();
    patient.health.hasten(patient.now);
    patient.wait(700);
    patient.fail();
    patient.wait(patient.health.ejectedMs);
    patient.succeed();
    patient.wait(2_900);
    assert.equal(patient.health.ramp, 0.2);
  });

  test('is an ordinary one if it is ejected again later, by traffic or by probes', () => {
    for (const again of [(patient: Patient) => patient.toTrial().succeed(), (patient: Patient) => {
      patient.probe(false);
      patient.wait(5_000);
      return patient.probe(true);
    }]) {
      const patient = new Patient().eject();
      patient.health.hasten(patient.now);
      patient.wait(700);
      patient.succeed();
      assert.equal(again(patient), true);
      patient.wait(2_900);
      assert.equal(patient.health.ramp, 0.2);
    }
  });
});

describe('probes', () => {
  test('that find it down eject it until they find it up', () => {
    const patient = new Patient();
    assert.equal(patient.probe(false), true);
    assert.deepEqual([patient.health.standing, patient.health.ejectedMs], ['ejected', Infinity]);
    assert.equal(patient.wait(86_400_000), false);
    assert.equal(patient.health.standing, 'ejected');
    assert.equal(patient.probe(true), true);
    assert.deepEqual([patient.health.standing, patient.health.ramp], ['well', 0.1]);
  });

  test('that find it in the same state change nothing', () => {
    const patient = new Patient();
    assert.equal(patient.probe(true), false);
    patient.probe(false);
    patient.wait(1_000);
    assert.equal(patient.probe(false), false);
    patient.probe(true);
    patient.wait(5_000);
    assert.equal(patient.probe(true), false);
    assert.deepEqual([patient.health.standing, patient.health.ramp], ['well', 0.5]);
  });

  test('override traffic: an answer does not readmit what they found down', () => {
    const patient = new Patient();
    patient.probe(false);
    patient.wait(1);
    assert.equal(patient.succeed(), false);
    assert.equal(patient.succeed({ needed: true }), false);
    assert.equal(patient.health.standing, 'ejected');
  });

  test('that find an ejected one down keep it ejected, past its time', () => {
    const patient = new Patient().eject();
    assert.equal(patient.probe(false), false, 'it was ejected before');
    assert.equal(patient.wait(86_400_000), false);
    assert.equal(patient.probe(true), true);
    assert.equal(patient.health.standing, 'well');
  });

  test('that find it down during its trial eject it', () => {
    const patient = new Patient().toTrial();
    assert.equal(patient.probe(false), true);
    assert.equal(patient.health.standing, 'ejected');
  });

  test('that find it up do not end an ejection by its traffic', () => {
    const patient = new Patient().eject();
    assert.equal(patient.probe(true), false);
    assert.equal(patient.health.standing, 'ejected');
    assert.equal(patient.wait(1_000), true);
    assert.equal(patient.health.standing, 'trial');
  });

  test('eject even with ejectAfter 0', () => {
    const patient = new Patient({ ejectAfter: 0 });
    assert.equal(patient.probe(false), true);
    assert.equal(patient.probe(true), true);
    assert.equal(patient.health.standing, 'well');
  });
});
