package io.github.dl4jlora.console;

import ch.qos.logback.classic.pattern.ClassicConverter;
import ch.qos.logback.classic.spi.ILoggingEvent;

/** Clears a {@link StatusLine} so that a log line can take its place; logback's configurations name this class. */
public final class MakeRoom extends ClassicConverter {

    @Override
    public String convert(ILoggingEvent event) {
        return StatusLine.makeRoom();
    }
}
