package io.github.dl4jlora;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import org.slf4j.LoggerFactory;

import java.util.List;

/** What a class, or all below a package, tells while this is open. */
public final class LogCapture implements AutoCloseable {

    private final Logger logger;
    private final Level level;
    private final ListAppender<ILoggingEvent> appender = new ListAppender<>();

    /** Its warnings. */
    public LogCapture(Class<?> type) {
        this(type.getName(), Level.WARN);
    }

    /** @param least that is told */
    public LogCapture(String name, Level least) {
        logger = (Logger) LoggerFactory.getLogger(name);
        level = logger.getLevel();
        logger.setLevel(least);
        logger.setAdditive(false);
        appender.start();
        logger.addAppender(appender);
    }

    /** The library's warnings. */
    public static LogCapture ofLibrary() {
        return new LogCapture("io.github.dl4jlora", Level.WARN);
    }

    public List<String> messages() {
        return appender.list.stream().map(ILoggingEvent::getFormattedMessage).toList();
    }

    @Override
    public void close() {
        logger.detachAppender(appender);
        logger.setLevel(level);
        logger.setAdditive(true);
    }
}
