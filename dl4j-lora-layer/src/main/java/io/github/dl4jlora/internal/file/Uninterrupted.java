package io.github.dl4jlora.internal.file;

/**
 * A while in which the thread is not interrupted; if it was before, it is again afterwards. Java closes a file channel under an
 * interrupted thread, but a task that was cancelled may still save what it has, as it may with DL4J's ModelSerializer.
 */
final class Uninterrupted implements AutoCloseable {

    private final boolean wasInterrupted = Thread.interrupted();

    @Override
    public void close() {
        if (wasInterrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
