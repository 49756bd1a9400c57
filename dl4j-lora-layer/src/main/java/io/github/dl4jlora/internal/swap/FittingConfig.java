package io.github.dl4jlora.internal.swap;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.common.NamePattern;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;

import java.util.regex.Pattern;

/** The configuration that makes a network into which an adapter fits. */
public final class FittingConfig {

    private FittingConfig() {
    }

    public static LoRAConfig of(AdapterContent adapter) {
        Delta first = adapter.deltas().values().iterator().next();
        // A configuration has one scaling. Where layers differ, each gets its factor as alpha.
        boolean uniform = adapter.deltas().values().stream().allMatch(delta -> delta.scaling() == first.scaling());
        LoRAConfig.Builder config = LoRAConfig.builder().rank(first.rank()).alpha(alpha(first, uniform))
                .scaling(uniform ? first.scaling() : Scaling.ALPHA).loraDropout(adapter.dropout())
                .variant(first.kind().variant()).loraInit(first.kind().init()).pissaIterations(first.kind().pissaIterations())
                .bias(adapter.biasTraining()).storage(FrozenStorage.SHARED)
                .targets(NamePattern.quoted(adapter.layers())).trainable(NamePattern.quoted(adapter.trainedLayers()));
        adapter.deltas().forEach((name, delta) -> {
            Kind kind = delta.kind();
            if (delta.rank() != first.rank() || alpha(delta, uniform) != alpha(first, uniform) || !kind.equals(first.kind())) {
                config.override(Pattern.quote(name), o -> o.rank(delta.rank()).alpha(alpha(delta, uniform))
                        .variant(kind.variant()).loraInit(kind.init()).pissaIterations(kind.pissaIterations()));
            }
        });
        return config.build();
    }

    /** The settings of one layer. */
    public static LoRASettings settings(Delta delta, double dropout) {
        return LoRASettings.builder().rank(delta.rank()).alpha(delta.alpha()).scaling(delta.scaling()).loraDropout(dropout)
                .variant(delta.kind().variant()).loraInit(delta.kind().init()).pissaIterations(delta.kind().pissaIterations())
                .build();
    }

    private static double alpha(Delta delta, boolean uniform) {
        return uniform ? delta.alpha() : delta.factor();
    }
}
