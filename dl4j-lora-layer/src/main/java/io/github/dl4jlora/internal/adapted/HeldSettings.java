package io.github.dl4jlora.internal.adapted;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.variant.Variant;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonIgnoreProperties;

import java.util.function.UnaryOperator;

/**
 * A configuration that holds {@link LoRASettings}, in JSON as {@code "lora"}. Each setting has a getter of its own. Files of
 * 0.1.0 have each setting by itself, too; the setters are for those.
 */
@JsonIgnoreProperties(value = {"rank", "alpha", "scaling", "loraInit", "loraDropout", "variant", "trainBias", "loraPlusRatio",
    "pissaIterations", "engine", "mechanism"}, allowSetters = true)
public interface HeldSettings {

    /** {@return the layer's or vertex's name; null for an unnamed layer} */
    @Nullable String getLayerName();

    /** {@return the adapter's settings} */
    LoRASettings getLora();

    /**
     * Replaces the adapter's settings; for a layer that does not run yet.
     *
     * @param lora of the adapter
     */
    void setLora(LoRASettings lora);

    /** See {@link LoRASettings#rank}. */
    default int getRank() {
        return getLora().rank();
    }

    /** See {@link LoRASettings#alpha}. */
    default double getAlpha() {
        return getLora().alpha();
    }

    /** See {@link LoRASettings#scaling}. */
    default Scaling getScaling() {
        return getLora().scaling();
    }

    /** See {@link LoRASettings#loraInit}. */
    default LoRAInit getLoraInit() {
        return getLora().loraInit();
    }

    /** See {@link LoRASettings#loraDropout}. */
    default double getLoraDropout() {
        return getLora().loraDropout();
    }

    /** See {@link LoRASettings#variant}. */
    default Variant getVariant() {
        return getLora().variant();
    }

    /** See {@link LoRASettings#trainBias}. */
    default boolean isTrainBias() {
        return getLora().trainBias();
    }

    /** See {@link LoRASettings#loraPlusRatio}. */
    default double getLoraPlusRatio() {
        return getLora().loraPlusRatio();
    }

    /** See {@link LoRASettings#pissaIterations}. */
    default int getPissaIterations() {
        return getLora().pissaIterations();
    }

    /** See {@link LoRASettings#engine}. */
    default Engine getEngine() {
        return getLora().engine();
    }

    private void change(UnaryOperator<LoRASettings.Builder> change) {
        setLora(change.apply(getLora().toBuilder()).build(Named.layer(getLayerName())));
    }

    /** See {@link LoRASettings#rank}. */
    default void setRank(int rank) {
        change(lora -> lora.rank(rank));
    }

    /** See {@link LoRASettings#alpha}. */
    default void setAlpha(double alpha) {
        change(lora -> lora.alpha(alpha));
    }

    /** See {@link LoRASettings#scaling}. */
    default void setScaling(Scaling scaling) {
        change(lora -> lora.scaling(scaling));
    }

    /** See {@link LoRASettings#loraInit}. */
    default void setLoraInit(LoRAInit init) {
        change(lora -> lora.loraInit(init));
    }

    /** See {@link LoRASettings#loraDropout}. */
    default void setLoraDropout(double probability) {
        change(lora -> lora.loraDropout(probability));
    }

    /** See {@link LoRASettings#variant}. */
    default void setVariant(Variant variant) {
        change(lora -> lora.variant(variant));
    }

    /** See {@link LoRASettings#trainBias}. */
    default void setTrainBias(boolean trainBias) {
        change(lora -> lora.trainBias(trainBias));
    }

    /** See {@link LoRASettings#loraPlusRatio}. */
    default void setLoraPlusRatio(double ratio) {
        change(lora -> lora.loraPlusRatio(ratio));
    }

    /** See {@link LoRASettings#pissaIterations}. */
    default void setPissaIterations(int iterations) {
        change(lora -> lora.pissaIterations(iterations));
    }

    /** See {@link LoRASettings#engine}. */
    default void setEngine(Engine engine) {
        change(lora -> lora.engine(engine));
    }

    /** What 0.1.0 called the engine of a layer that is not dense: {@code DELTA} or the name of a kernel. */
    default void setMechanism(String mechanism) {
        setEngine("DELTA".equals(mechanism) ? Engine.EFFECTIVE_WEIGHTS : Engine.FUSED);
    }
}
