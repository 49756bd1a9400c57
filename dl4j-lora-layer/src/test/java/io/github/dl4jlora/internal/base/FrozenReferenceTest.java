package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.base.StoredForm.Part;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.net.URI;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What a configuration says of its frozen weights, and what it does when they are here, elsewhere or nowhere. */
class FrozenReferenceTest {

    private static final String NOWHERE = "0".repeat(64);
    private static long seed = 5000;

    private final INDArray values = Networks.random(DataType.FLOAT, ++seed, 12);
    private final FrozenWeights weights = FrozenWeights.ofOwn(values, Map.of("W", values.reshape(3, 4)));
    private final FrozenReference bound = FrozenReference.to(weights, null);

    private static FrozenReference to(String id) {
        return new FrozenReference(id, "FLOAT W[3,4]", null, false, null, null, false);
    }

    @Test
    void aDamagedReferenceIsRefused() {
        for (Runnable damaged : List.<Runnable>of(() -> to(null),
                () -> new FrozenReference(NOWHERE, null, null, false, null, null, false),
                () -> new FrozenReference(NOWHERE, "FLOAT W[3,4]", null, false, Collections.singletonMap("out", null), null,
                        false))) {
            assertThatIllegalArgumentException().isThrownBy(damaged::run).withMessageContaining("is damaged");
        }
    }

    @Test
    void whatItSaysOfTheWeightsIsWhatTheyAre() {
        FrozenReference planned = bound.planned(Quantization.INT8, List.of(new Part("W", 3, 4, false)));

        assertThat(bound.getId()).isEqualTo(weights.id());
        assertThat(bound.baseId()).isEqualTo(weights.id());
        assertThat(bound.getSignature()).isEqualTo(weights.signature());
        assertThat(bound.isOwn()).isTrue();
        assertThat(bound.storedAs()).isEqualTo("FLOAT");
        assertThat(bound.scheme()).isNull();
        assertThat(bound.bytes()).isEqualTo(48);
        assertThat(bound.bytes("W")).isEqualTo(48);
        assertThat(bound.bound()).isSameAs(weights);
        assertThat(bound).hasToString("FLOAT W[3,4] " + weights.id());
        assertThat(planned.storedAs()).isEqualTo("INT8");
        assertThat(planned.scheme()).isEqualTo(Quantization.INT8);
        assertThat(planned.baseId()).isEqualTo(weights.id());
        assertThat(planned.bytes("W")).isEqualTo(planned.bytes()).isLessThan(48);
        assertThat(planned.isOwn()).isTrue();
        assertThat(planned.isHere()).isFalse();
        FrozenReference unhashed = FrozenReference.unhashed(DataType.HALF, Map.of("W", values.reshape(3, 4)));
        assertThat(unhashed.getSignature()).isEqualTo("HALF W[3,4]");
        assertThat(unhashed.isHere()).isFalse();
        assertThat(new FrozenReference(NOWHERE, "nothing", null, false, null, null, false).storedAs()).isEmpty();
    }

    @Test
    void referencesAreEqualIfTheirIdsAre() {
        assertThat(to(weights.id())).isEqualTo(bound).hasSameHashCodeAs(bound).isNotEqualTo(to(NOWHERE));
        assertThat(bound.equals(weights.id())).isFalse();
    }

    @Test
    void shapesAreComparedWhateverTheType() {
        assertThat(bound.hasShapesOf("DOUBLE W[3,4]")).isTrue();
        assertThat(bound.hasShapesOf("FLOAT W[4,3]")).isFalse();
    }

    @Test
    void weightsThatAreHereAreFoundAndHeld() {
        FrozenReference found = to(weights.id());

        assertThat(found.bound()).isNull();
        assertThat(found.isHere()).isTrue();
        assertThat(found.require("fc")).isSameAs(weights);
        assertThat(found.bound()).isSameAs(weights);
        assertThat(found.takeHold("fc", 12)).isTrue();
        assertThat(found.values("fc", DataType.DOUBLE, 12)).isEqualTo(values.castTo(DataType.DOUBLE));
        assertThat(found.errors()).isEmpty();
    }

    @Test
    void anotherNumberOfValuesThanTheConfigurationsIsRefusedByName() {
        for (long length : new long[] {11, 13}) {
            assertThatIllegalStateException().isThrownBy(() -> bound.takeHold("fc", length))
                    .withMessageContainingAll("Layer \"fc\"", "asks for " + length, "FLOAT W[3,4]");
            assertThatIllegalStateException().isThrownBy(() -> bound.weights("fc", length)).withMessageContaining("\"fc\"");
        }
    }

    @Test
    void weightsThatAreNowhereAreMissedByTheLayersName() {
        FrozenReference missing = to(NOWHERE);

        assertThat(missing.isHere()).isFalse();
        assertThat(missing.takeHold("fc", 12)).isFalse();
        assertThat(missing.errors()).isEmpty();
        assertThatThrownBy(() -> missing.require("fc")).isInstanceOf(FrozenWeightsMissingException.class)
                .hasMessageContainingAll("fc", NOWHERE);
    }

    @Test
    void weightsAreDerivedOnlyWhereTheyAreNotHereAndOnlyIfTheyAreTheSame() {
        FrozenReference missing = to(NOWHERE);
        assertThat(missing.bindOr(() -> weights)).isFalse();
        assertThat(missing.bound()).isNull();

        assertThat(bound.bindOr(() -> {
            throw new AssertionError("they are here");
        })).isTrue();
        INDArray others = Networks.random(DataType.FLOAT, ++seed, 12);
        FrozenWeights unregistered = FrozenWeights.unregisteredOwn(others, Map.of("W", others.reshape(3, 4)));
        FrozenReference derived = to(unregistered.id());
        assertThat(derived.bindOr(() -> unregistered)).isTrue();
        assertThat(derived.bound()).isSameAs(unregistered);
    }

    @Test
    void whatStandsOnItsOwnCopyTakesNoWeightsOfANetwork() {
        INDArray others = Networks.random(DataType.FLOAT, ++seed, 12);
        FrozenWeights lent = FrozenWeights.of(others, Map.of("W", others.reshape(3, 4)));
        FrozenReference own = new FrozenReference(lent.id(), lent.signature(), null, true, null, null, false);
        FrozenReference shared = to(lent.id());

        assertThat(shared.require("fc")).isSameAs(lent);
        assertThat(shared.admit(lent, "fc")).isSameAs(lent);
        FrozenWeights copy = own.require("fc");
        assertThat(copy).isNotSameAs(lent);
        assertThat(copy.isOwn()).isTrue();
        assertThat(own.admit(lent, "fc")).isSameAs(copy);
        shared.bind(copy);
        assertThat(shared.bound()).isSameAs(copy);
    }

    @Test
    void theFormThatIsReferredToIsMadeOfTheOriginal() {
        List<Part> parts = List.of(new Part("W", 3, 4, false));
        FrozenWeights stored = weights.quantized(Quantization.INT8, parts);
        FrozenReference toStored = FrozenReference.to(stored, null);

        assertThat(bound.formed(weights)).isSameAs(weights);
        assertThat(toStored.formed(weights)).isSameAs(stored);
        assertThat(toStored.formed(stored)).isSameAs(stored);
        assertThat(toStored.errors()).containsOnlyKeys("W");
    }

    @Test
    void whatLayersHeldThatTrainInFullIsRecordedAndCannotBeChanged() {
        assertThat(bound.getTrainedInFull()).isNull();

        FrozenReference recording = bound.recording(new HashMap<>(Map.of("out", to(NOWHERE))));

        assertThat(recording.bound()).isSameAs(weights);
        assertThat(recording.getTrainedInFull()).containsOnlyKeys("out");
        assertThatThrownBy(() -> recording.getTrainedInFull().clear()).isInstanceOf(UnsupportedOperationException.class);
    }

    /** The registry is weak: what nobody holds would be gone when it is asked for. */
    @Test
    void whatIsRecordedIsHeldWithTheWeightsThemselves() {
        FrozenReference trained = to(weights.id());
        INDArray others = Networks.random(DataType.FLOAT, ++seed, 12);
        FrozenWeights alive = FrozenWeights.ofOwn(others, Map.of("W", others.reshape(3, 4)));
        FrozenReference recording = new FrozenReference(alive.id(), alive.signature(), null, false,
                new HashMap<>(Map.of("out", trained)), null, false);

        assertThat(recording.isHere()).isTrue();

        assertThat(recording.getTrainedInFull().get("out").bound()).isSameAs(weights);
        assertThat(alive.isIntact()).isTrue();
    }

    /** What a file holds has been hashed already. */
    @Test
    void whatWasReadIsBoundWithoutTheRegistry() {
        INDArray others = Networks.random(DataType.FLOAT, ++seed, 12);
        FrozenWeights read = FrozenWeights.unregisteredOwn(others, Map.of("W", others.reshape(3, 4)));
        FrozenReference recording = new FrozenReference(read.id(), read.signature(), null, true,
                new HashMap<>(Map.of("out", to(read.id()), "other", to(weights.id()), "none", to(NOWHERE))), null, false);

        recording.bindAny(Map.of(read.id(), read));

        assertThat(recording.bound()).isSameAs(read);
        assertThat(recording.getTrainedInFull().get("out").bound()).isSameAs(read);
        assertThat(recording.getTrainedInFull().get("other").bound()).isSameAs(weights);
        assertThat(recording.getTrainedInFull().get("none").bound()).isNull();
    }

    @Test
    void aLocationIsShownWithoutItsSecrets() {
        assertThat(bound.getBaseLocation()).isNull();
        assertThat(FrozenReference.to(weights, URI.create("https://me:secret@host/base.zip?token=x")).getBaseLocation())
                .hasToString("https://host/base.zip");
    }
}
