package io.github.dl4jlora.examples;

import ch.qos.logback.classic.pattern.ClassicConverter;
import ch.qos.logback.classic.spi.ILoggingEvent;

/** Has a line of the log begin where a {@link StatusLine} is; logback's configurations name it. */
public final class MakeRoom extends ClassicConverter {

    @Override
    public String convert(ILoggingEvent event) {
        return StatusLine.makeRoom();
    }
}
