package io.github.dl4jlora.internal.peft;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Warnings come from the class that users call, which this room does not know. */
public final class AdapterLog {

    public static final Logger LOG = LoggerFactory.getLogger("io.github.dl4jlora.adapter.LoRAAdapter");

    private AdapterLog() {
    }
}
