/** What DL4J's SameDiff layers need mended, for the layers of this library and for frozen stock ones alike. */
package io.github.dl4jlora.samediff;
