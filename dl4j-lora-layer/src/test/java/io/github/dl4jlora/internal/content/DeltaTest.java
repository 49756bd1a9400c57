package io.github.dl4jlora.internal.content;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

/** One adapted layer: what its parts are, and the same in another form. */
class DeltaTest {

    private static final double ALPHA = 3;
    private static final Kind PISSA = new Kind(new PlainLoRA(), LoRAInit.PISSA, 0);

    private final INDArray a = Networks.random(DataType.DOUBLE, 1, 6, 2);
    private final INDArray b = Networks.random(DataType.DOUBLE, 2, 2, 5);
    private final INDArray startA = Networks.random(DataType.DOUBLE, 3, 6, 2);
    private final INDArray startB = Networks.random(DataType.DOUBLE, 4, 2, 5);

    private Delta delta(Scaling scaling, Map<String, INDArray> more, Kind kind) {
        return new Delta(a, b, ALPHA, scaling, "base", TensorLayout.LINEAR, more, kind, "INT8");
    }

    /** ΔW. */
    private static INDArray product(Delta delta) {
        return delta.a().mmul(delta.b()).muli(delta.factor());
    }

    @Test
    void theRankIsThatOfAAndTheFactorFollowsFromIt() {
        assertThat(delta(Scaling.ALPHA, Map.of(), Kind.PLAIN).rank()).isEqualTo(2);
        assertThat(delta(Scaling.ALPHA, Map.of(), Kind.PLAIN).factor()).isEqualTo(3);
        assertThat(delta(Scaling.ALPHA_OVER_RANK, Map.of(), Kind.PLAIN).factor()).isEqualTo(1.5);
    }

    @Test
    void whatIsAddedToABiasIsTheNetworksBias() {
        INDArray added = Networks.random(DataType.DOUBLE, 5, 1, 5);
        Delta plain = delta(Scaling.ALPHA, Map.of(), Kind.PLAIN);
        Delta own = delta(Scaling.ALPHA, Map.of("b", added), Kind.PLAIN);
        Delta adding = delta(Scaling.ALPHA, Map.of(Delta.LORA_BIAS, added, Delta.BASE_WEIGHT, a), Kind.PLAIN);

        assertThat(plain.trainsBias()).isFalse();
        assertThat(own.trainsBias()).isTrue();
        assertThat(adding.trainsBias()).isTrue();
        assertThat(plain.parts()).containsOnlyKeys("A", "B");
        assertThat(adding.parts()).containsOnlyKeys("A", "B", "b").containsEntry("b", added);
        assertThat(adding.has(Delta.BASE_WEIGHT)).isTrue();
        assertThat(plain.has(Delta.BASE_WEIGHT)).isFalse();
    }

    @Test
    void anAddedBiasIsScaledAndStandsOnTheOwnOneOrOnTheBases() {
        INDArray added = Networks.random(DataType.DOUBLE, 5, 1, 5);
        INDArray ofBase = Networks.random(DataType.FLOAT, 6, 5);
        INDArray own = Networks.random(DataType.DOUBLE, 7, 1, 5);

        Delta onBase = delta(Scaling.ALPHA_OVER_RANK, Map.of("lora_B.bias", added), Kind.PLAIN).onBias(ofBase);
        Delta onOwn = delta(Scaling.ALPHA_OVER_RANK, Map.of("lora_B.bias", added, "b", own), Kind.PLAIN).onBias(ofBase);

        assertThat(onBase.more()).containsOnlyKeys("b");
        assertThat(onBase.more().get("b")).isEqualTo(added.mul(1.5).add(ofBase.castTo(DataType.DOUBLE).reshape(1, 5)));
        assertThat(onOwn.more().get("b")).isEqualTo(added.mul(1.5).add(own));
        assertThat(onOwn.storedAs()).isEqualTo("INT8");
        assertThat(onOwn.baseId()).isEqualTo("base");
    }

    @ParameterizedTest
    @EnumSource(Scaling.class)
    void aStartThatWasTakenFromWIsTheOtherHalfOfAPlainProduct(Scaling scaling) {
        INDArray bias = Networks.random(DataType.DOUBLE, 5, 1, 5);
        Delta started = delta(scaling, Map.of("A0", startA, "B0", startB, "b", bias), PISSA);
        INDArray expected = product(started).sub(startA.mmul(startB).mul(started.factor()));

        Delta plain = started.plain("fc", "this");

        assertThat(plain.rank()).isEqualTo(4);
        assertThat(plain.factor()).isCloseTo(started.factor(), within(1e-12));
        assertThat(plain.kind()).isEqualTo(Kind.PLAIN);
        assertThat(plain.more()).containsOnlyKeys("b");
        assertThat(Networks.difference(product(plain), expected)).isLessThan(1e-12);
        Delta again = plain.split(PISSA);
        assertThat(again.rank()).isEqualTo(2);
        assertThat(again.a()).isEqualTo(a);
        assertThat(again.b()).isEqualTo(b);
        assertThat(again.more().get("A0")).isEqualTo(startA);
        assertThat(again.more().get("B0")).isEqualTo(startB);
        assertThat(again.more().get("b")).isEqualTo(bias);
        assertThat(again.alpha()).isCloseTo(ALPHA, within(1e-12));
        assertThat(again.kind()).isEqualTo(PISSA);
        assertThat(again.storedAs()).isEqualTo("INT8");
    }

    @Test
    void whatIsPlainStaysAndWhatCannotBePlainIsRefused() {
        Delta plain = delta(Scaling.ALPHA, Map.of(), Kind.PLAIN);
        Delta dora = delta(Scaling.ALPHA, Map.of("m", Nd4j.ones(DataType.DOUBLE, 1, 5)),
                new Kind(new DoRA(), LoRAInit.KAIMING_UNIFORM, 0));
        Delta lacking = delta(Scaling.ALPHA, Map.of(), PISSA);

        assertThat(plain.plain("fc", "this")).isSameAs(plain);
        assertThatIllegalArgumentException().isThrownBy(() -> dora.plain("fc", "A sum"))
                .withMessageContainingAll("\"fc\"", "A sum has no meaning for " + new DoRA().name());
        assertThatIllegalArgumentException().isThrownBy(() -> lacking.plain("fc", "A sum"))
                .withMessageContainingAll("\"fc\"", "A sum needs the start", "PISSA");
    }

    @Test
    void aCopyWithOneThingChangedKeepsTheOthers() {
        Delta delta = delta(Scaling.ALPHA, Map.of("A0", startA, "B0", startB), PISSA);
        Delta other = new Delta(startA, startB, 7, Scaling.ALPHA_OVER_RANK, null);

        Delta product = delta.with(other);
        assertThat(product.a()).isSameAs(startA);
        assertThat(product.alpha()).isEqualTo(7);
        assertThat(product.scaling()).isEqualTo(Scaling.ALPHA_OVER_RANK);
        assertThat(product.baseId()).isEqualTo("base");
        assertThat(product.kind()).isEqualTo(Kind.PLAIN);
        assertThat(delta.withMore(Map.of()).more()).isEmpty();
        assertThat(delta.withMore(Map.of()).kind()).isEqualTo(PISSA);
        assertThat(delta.onStored("NF4").storedAs()).isEqualTo("NF4");
        assertThat(delta.onStored("NF4").kind()).isEqualTo(PISSA);
        assertThat(other.storedAs()).isNull();
        assertThat(other.layout()).isEqualTo(TensorLayout.LINEAR);
    }
}
