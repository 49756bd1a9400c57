package io.github.dl4jlora.cli;

import ch.qos.logback.classic.pattern.MessageConverter;
import ch.qos.logback.classic.spi.ILoggingEvent;

/** A warning of the library in terms of this command line; cli-logback.xml names this class. */
public final class Warning extends MessageConverter {

    @Override
    public String convert(ILoggingEvent event) {
        return Wording.of(super.convert(event));
    }
}
