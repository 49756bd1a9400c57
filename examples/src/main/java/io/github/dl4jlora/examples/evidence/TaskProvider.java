package io.github.dl4jlora.examples.evidence;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.function.Consumer;

/** Brings a task that needs more than the examples do without: {@link ServiceLoader} finds it where its Maven profile is on. */
public interface TaskProvider {

    /**
     * {@return the task}
     *
     * @param data the folder that fetch-evidence.sh fills
     * @throws IOException if what it needs is not there, or damaged; the message says what, and what to do
     */
    Task load(Path data) throws IOException;

    /**
     * {@return the task on an encoder of texts; empty without the profile, or without its data}
     *
     * @param data   the folder that fetch-evidence.sh fills
     * @param missed is told in a line why there is none, and the cure
     */
    static Optional<Task> encoder(Path data, Consumer<String> missed) {
        Optional<TaskProvider> provider = ServiceLoader.load(TaskProvider.class).findFirst();
        if (provider.isEmpty()) {
            missed.accept("Without claims on MiniLM: run with -Pminilm to have them.");
            return Optional.empty();
        }
        try {
            return Optional.of(provider.get().load(data));
        } catch (IOException e) {
            missed.accept("Without claims on MiniLM: " + e.getMessage());
            return Optional.empty();
        }
    }
}
