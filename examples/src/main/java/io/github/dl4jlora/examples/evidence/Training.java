package io.github.dl4jlora.examples.evidence;

import java.util.Locale;

/**
 * A training that can be repeated.
 *
 * @param epochs of the task's examples
 */
public record Training(Task task, Method method, double rate, long seed, int epochs) {

    /** As long as the task has it. */
    public Training(Task task, Method method, double rate, long seed) {
        this(task, method, rate, seed, task.epochs());
    }

    @Override
    public String toString() {
        return task.name() + ", " + method.name() + String.format(Locale.ROOT, ", rate %.1e, seed %d", rate, seed);
    }
}
