package io.github.dl4jlora.examples.spark;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.encoder.PatternLayoutEncoder;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.Appender;
import ch.qos.logback.core.FileAppender;
import org.slf4j.LoggerFactory;

import java.nio.file.Path;

/**
 * The driver's log: everything in a file, and warnings on the screen, except while errors are expected. When it is closed, the
 * settings of driver-logback.xml apply again.
 */
final class DriverLog implements AutoCloseable {

    private static final String SCREEN = "stderr";

    private final Logger root;
    private final Level before;
    private final FileAppender<ILoggingEvent> file = new FileAppender<>();

    DriverLog(Path path) {
        root = (Logger) LoggerFactory.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME);
        before = root.getLevel();
        LoggerContext context = root.getLoggerContext();
        PatternLayoutEncoder lines = new PatternLayoutEncoder();
        lines.setContext(context);
        lines.setPattern("%d{HH:mm:ss.SSS} %-5level %logger{0}: %msg%n");
        lines.start();
        file.setContext(context);
        file.setFile(path.toString());
        file.setEncoder(lines);
        file.start();
        root.addAppender(file);
        root.setLevel(Level.INFO);
    }

    /** Runs something without logging to the screen. */
    <E extends Exception> void quietly(Step<E> step) throws E {
        Appender<ILoggingEvent> screen = root.getAppender(SCREEN);
        root.detachAppender(SCREEN);
        try {
            step.run();
        } finally {
            if (screen != null) {
                root.addAppender(screen);
            }
        }
    }

    /** Something that may fail. */
    @FunctionalInterface
    interface Step<E extends Exception> {
        void run() throws E;
    }

    @Override
    public void close() {
        root.setLevel(before);
        root.detachAppender(file);
        file.stop();
    }
}
